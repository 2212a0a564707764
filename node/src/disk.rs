//! The node's store: one redb database of a few ordered tables of bytes. Reads all of it once, at start; writes transactions.
//!
//! A database that fails its checksums, or has fewer transactions than [`witness`] tells, is never repaired here: a member of Raft that has
//! lost durable entries may not go on under its identity. What to do then is in the error.

mod witness;

use group0_core::io::{Image, Persist, Table, Write};
use redb::{
    Database, DatabaseError, ReadableDatabase, ReadableTable, StorageBackend, StorageError, TableDefinition, WriteTransaction,
};
use std::{
    fs::{self, File},
    io::{self, ErrorKind},
    path::{Path, PathBuf},
    thread,
};
use witness::Witness;

/// The name of the database in the work directory.
pub const FILE: &str = "group0.redb";
/// Its name until it is made.
const UNFINISHED: &str = "group0.redb.new";
/// The version of the tables' contents that this release reads and writes.
const FORMAT: u64 = 1;
const META: TableDefinition<&str, u64> = TableDefinition::new("meta");
const FORMAT_KEY: &str = "format";
/// How many transactions were committed.
const COMMITS_KEY: &str = "commits";

/// How the names of threads begin that open a database.
const OPENING: &str = "open-database ";
const PANICKED: &str = "its structure is damaged";

type Bytes = TableDefinition<'static, &'static [u8], &'static [u8]>;

/// Why the store cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum DiskError {
    /// The contents do not agree with their checksums.
    #[error(
        "the database {path} is corrupt ({cause}). Its contents cannot be trusted any more: keep the file for inspection and \
         replace this node by a new one with an empty work directory"
    )]
    Corrupt {
        /// The file.
        path: PathBuf,
        /// What was found.
        cause: String,
    },
    /// Somebody else has it open.
    #[error("the database {path} is in use by another process: is a node already running on this work directory? Stop it first")]
    Locked {
        /// The file.
        path: PathBuf,
    },
    /// No space left.
    #[error("no space left for the database {path}: the last transaction was not made durable. Free space and restart the node")]
    Full {
        /// The file.
        path: PathBuf,
    },
    /// Written by a release with other contents.
    #[error("the database {path} has format {found}, this release reads format {FORMAT}: start the release that wrote it")]
    Format {
        /// The file.
        path: PathBuf,
        /// Its format.
        found: u64,
    },
    /// The operating system refused.
    #[error("cannot use {path}: {cause}. See to the disk, and that the node may write there, and start the node again")]
    Io {
        /// The file or directory.
        path: PathBuf,
        /// As the operating system says.
        cause: String,
    },
}

/// The open store.
#[derive(Debug)]
pub struct Disk {
    database: Database,
    path: PathBuf,
    witness: Option<Witness>,
}

impl Disk {
    /// Opens the database in the work directory, or makes both, and verifies every page.
    ///
    /// redb panics on some kinds of damage, hence the thread of its own, by whose name [`report_panic`] knows it.
    pub fn open(workdir: &Path) -> Result<Self, DiskError> {
        let path = workdir.join(FILE);
        let opened = thread::scope(|scope| {
            let name = format!("{OPENING}{}", path.display());
            let thread = thread::Builder::new().name(name).spawn_scoped(scope, || Self::open_here(workdir));
            thread.map(thread::ScopedJoinHandle::join)
        });
        match opened {
            Ok(Ok(result)) => result,
            Ok(Err(_)) => Err(corrupt(&path, PANICKED)),
            Err(error) => Err(io_error(workdir, &error)),
        }
    }

    fn open_here(workdir: &Path) -> Result<Self, DiskError> {
        fs::create_dir_all(workdir).map_err(|error| io_error(workdir, &error))?;
        let path = workdir.join(FILE);
        let io_error = |error| io_error(&path, &error);
        let (witness, mut told) = Witness::open(workdir).map_err(io_error)?;
        if !path.try_exists().map_err(io_error)? {
            Self::make(workdir, &path)?;
            // What is told of one that was here before means nothing, also after a power failure.
            witness.record(0).and_then(|()| witness.sync()).map_err(io_error)?;
            told = None;
            fs::rename(workdir.join(UNFINISHED), &path).and_then(|()| sync(workdir)).map_err(io_error)?;
        }
        let database = Database::create(&path).map_err(|error| open_error(&path, error))?;
        let mut disk = Self::check(database, path)?;
        disk.hear_witness(witness, told)?;
        Ok(disk)
    }

    /// Makes an empty one under a name that is not its own yet: what a start leaves that is killed here, or has no space, is no database
    /// and held nothing.
    fn make(workdir: &Path, path: &Path) -> Result<(), DiskError> {
        let unfinished = workdir.join(UNFINISHED);
        match fs::remove_file(&unfinished) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(io_error(path, &error)),
            _ => {}
        }
        let database = Database::create(&unfinished).map_err(|error| open_error(path, error))?;
        drop(Self::check(database, path.to_owned())?);
        sync(&unfinished).map_err(|error| io_error(path, &error))
    }

    /// What redb takes for torn by a crash may have been confirmed to others.
    fn hear_witness(&mut self, witness: Witness, told: Option<u64>) -> Result<(), DiskError> {
        let found = self.commits().map_err(|error| self.error(error))?;
        if let Some(told) = told.filter(|told| found < *told) {
            return Err(self.corrupt(&format!("of the {told} transactions that were made durable only {found} are there")));
        }
        witness.record(found).map_err(|error| io_error(&self.path, &error))?;
        self.witness = Some(witness);
        Ok(())
    }

    fn commits(&self) -> Result<u64, redb::Error> {
        let meta = self.database.begin_read()?.open_table(META)?;
        Ok(meta.get(COMMITS_KEY)?.map_or(0, |commits| commits.value()))
    }

    /// Opens the database, or makes it, on storage that is no file; `name` stands for its path in errors.
    pub fn on(storage: impl StorageBackend, name: &Path) -> Result<Self, DiskError> {
        let database = Database::builder().create_with_backend(storage).map_err(|error| open_error(name, error))?;
        Self::check(database, name.to_owned())
    }

    fn check(database: Database, path: PathBuf) -> Result<Self, DiskError> {
        let mut disk = Self { database, path, witness: None };
        disk.verify()?;
        disk.check_format()?;
        Ok(disk)
    }

    /// All that is stored.
    pub fn load(&self) -> Result<Image, DiskError> {
        let mut image = Image::new();
        for table in Table::ALL {
            self.load_table(table, &mut image).map_err(|error| self.error(error))?;
        }
        Ok(image)
    }

    /// Makes one transaction durable.
    pub fn commit(&self, persist: &Persist) -> Result<(), DiskError> {
        let commits = self.try_commit(persist).map_err(|error| self.error(error))?;
        self.witness.as_ref().map_or(Ok(()), |witness| witness.record(commits)).map_err(|error| io_error(&self.path, &error))
    }

    fn verify(&mut self) -> Result<(), DiskError> {
        match self.database.check_integrity() {
            Ok(true) => Ok(()),
            Ok(false) => Err(self.corrupt("a checksum is wrong")),
            Err(DatabaseError::Storage(StorageError::Corrupted(cause))) => Err(self.corrupt(&cause)),
            Err(error) => Err(open_error(&self.path, error)),
        }
    }

    fn check_format(&self) -> Result<(), DiskError> {
        match self.format().map_err(|error| self.error(error))? {
            FORMAT => Ok(()),
            found => Err(DiskError::Format { path: self.path.clone(), found }),
        }
    }

    fn format(&self) -> Result<u64, redb::Error> {
        let transaction = self.database.begin_write()?;
        let found = {
            let mut meta = transaction.open_table(META)?;
            let stored = meta.get(FORMAT_KEY)?.map(|format| format.value());
            if stored.is_none() {
                meta.insert(FORMAT_KEY, FORMAT)?;
            }
            stored.unwrap_or(FORMAT)
        };
        for table in Table::ALL {
            transaction.open_table(definition(table))?;
        }
        transaction.commit()?;
        Ok(found)
    }

    fn load_table(&self, table: Table, image: &mut Image) -> Result<(), redb::Error> {
        for row in self.database.begin_read()?.open_table(definition(table))?.iter()? {
            let (key, value) = row?;
            image.push((table, key.value().to_vec(), value.value().to_vec()));
        }
        Ok(())
    }

    /// How many there are with this one.
    fn try_commit(&self, persist: &Persist) -> Result<u64, redb::Error> {
        let mut transaction = self.database.begin_write()?;
        transaction.set_durability(redb::Durability::Immediate)?;
        for write in &persist.writes {
            apply(&transaction, write)?;
        }
        let commits = count(&transaction)?;
        transaction.commit()?;
        Ok(commits)
    }

    fn error(&self, error: redb::Error) -> DiskError {
        match error {
            redb::Error::Corrupted(cause) => self.corrupt(&cause),
            redb::Error::Io(error) => io_error(&self.path, &error),
            other => self.corrupt(&other.to_string()),
        }
    }

    fn corrupt(&self, cause: &str) -> DiskError {
        corrupt(&self.path, cause)
    }
}

/// What may still be written to the file system of this directory, if it says so.
pub fn free_bytes(directory: &Path) -> Option<u64> {
    rustix::fs::statvfs(directory).ok().map(|of| of.f_bavail.saturating_mul(of.f_frsize))
}

/// In a panic hook: what to tell if the panic means that a database is corrupt. Where panics abort, nothing else can tell.
pub fn report_panic() -> Option<DiskError> {
    let thread = thread::current();
    let path = thread.name()?.strip_prefix(OPENING)?;
    Some(corrupt(Path::new(path), PANICKED))
}

/// Makes a file, or the names in a directory, durable.
fn sync(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

fn definition(table: Table) -> Bytes {
    TableDefinition::new(table.name())
}

fn apply(transaction: &WriteTransaction, write: &Write) -> Result<(), redb::Error> {
    match write {
        Write::Put(table, key, value) => {
            transaction.open_table(definition(*table))?.insert(key.as_slice(), value.as_slice())?;
        }
        Write::Delete(table, key) => {
            transaction.open_table(definition(*table))?.remove(key.as_slice())?;
        }
        Write::DeleteRange(table, from, to) if from < to => {
            transaction.open_table(definition(*table))?.retain_in(from.as_slice()..to.as_slice(), |_, _| false)?;
        }
        Write::DeleteRange(..) => {}
    }
    Ok(())
}

fn count(transaction: &WriteTransaction) -> Result<u64, redb::Error> {
    let mut meta = transaction.open_table(META)?;
    let commits = meta.get(COMMITS_KEY)?.map_or(0, |commits| commits.value()) + 1;
    meta.insert(COMMITS_KEY, commits)?;
    Ok(commits)
}

fn open_error(path: &Path, error: DatabaseError) -> DiskError {
    match error {
        DatabaseError::DatabaseAlreadyOpen => DiskError::Locked { path: path.to_owned() },
        DatabaseError::Storage(StorageError::Io(error)) if !is_damage(&error) => io_error(path, &error),
        other => corrupt(path, &other.to_string()),
    }
}

/// A file that is cut short or is no database at all reads as an error of the operating system.
fn is_damage(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::InvalidData | ErrorKind::UnexpectedEof)
}

fn io_error(path: &Path, error: &io::Error) -> DiskError {
    match error.kind() {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => DiskError::Full { path: path.to_owned() },
        ErrorKind::WouldBlock => DiskError::Locked { path: path.to_owned() },
        _ if is_damage(error) => corrupt(path, &error.to_string()),
        _ => DiskError::Io { path: path.to_owned(), cause: error.to_string() },
    }
}

fn corrupt(path: &Path, cause: &str) -> DiskError {
    DiskError::Corrupt { path: path.to_owned(), cause: cause.to_owned() }
}
