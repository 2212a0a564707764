//! Changes the schema, one statement after the other.

use super::{KEYSPACE, connect};
use scylla::client::session::Session;
use std::{
    fs::{self, File, OpenOptions},
    io::Write as _,
    path::Path,
    time::Duration,
};
use tokio::time::{sleep, timeout};

/// Between two changes: often enough for every step of an upgrade to meet one, seldom enough to leave the machine to the nodes.
const PERIOD: Duration = Duration::from_millis(100);
/// The last line.
pub const STOPPED: &str = "stopped";
/// No answer for so long is none.
pub const ANSWER_MAX: Duration = Duration::from_secs(30);
/// Every so many changes an acknowledged table is dropped.
const ROUND: u32 = 8;

/// Never ends by itself, except when the file cannot be written. Once `check` has asked for it, nothing more is changed.
pub async fn work(nodes: &[String], file: &Path) -> Result<(), String> {
    let (stop, first) = (super::stop(file), first_number(&fs::read_to_string(file).unwrap_or_default()));
    let mut file =
        OpenOptions::new().create(true).append(true).open(file).map_err(|error| format!("{}: {error}", file.display()))?;
    let mut session = None;
    let keyspace = format!(
        "CREATE KEYSPACE IF NOT EXISTS {KEYSPACE} WITH replication = {{'class': 'SimpleStrategy', 'replication_factor': 3}}"
    );
    while !change(&mut session, nodes, &keyspace).await {
        sleep(PERIOD).await;
    }
    for number in first.. {
        if stop.exists() {
            acknowledged(&mut file, STOPPED)?;
            return std::future::pending().await;
        }
        if change(&mut session, nodes, &format!("CREATE TABLE {KEYSPACE}.t{number} (a int PRIMARY KEY, b text)")).await {
            acknowledged(&mut file, &format!("created t{number}"))?;
            prepared(session.as_ref(), number, &mut file).await?;
        }
        if number.is_multiple_of(ROUND) {
            let old = number / 2;
            // Whatever comes of it, nothing more is claimed of this table, unless it is gone for certain.
            acknowledged(&mut file, &format!("dropping t{old}"))?;
            if change(&mut session, nodes, &format!("DROP TABLE IF EXISTS {KEYSPACE}.t{old}")).await {
                acknowledged(&mut file, &format!("dropped t{old}"))?;
            }
        }
        sleep(PERIOD).await;
    }
    Ok(())
}

/// Of a client that goes on where it was killed: its machine may have been.
fn first_number(told: &str) -> u32 {
    let created = told.lines().filter_map(|line| line.strip_prefix("created t")?.parse::<u32>().ok());
    created.max().unwrap_or_default() + 1
}

/// Whether it was acknowledged. A session that failed is made anew: pods come back with other addresses.
async fn change(session: &mut Option<Session>, nodes: &[String], statement: &str) -> bool {
    let asked = async {
        let open = match session.take() {
            Some(open) => open,
            None => connect(nodes).await.map_err(|error| error.to_string())?,
        };
        open.query_unpaged(statement, &[]).await.map_err(|error| error.to_string())?;
        Ok::<_, String>(open)
    };
    match timeout(ANSWER_MAX, asked).await.unwrap_or_else(|_| Err("no answer".to_owned())) {
        Ok(open) => {
            *session = Some(open);
            true
        }
        Err(why) => {
            eprintln!("not acknowledged: {statement}: {why}");
            false
        }
    }
}

/// A prepared statement over the new table, executed with a value: types must be exact for it.
async fn prepared(session: Option<&Session>, number: u32, file: &mut File) -> Result<(), String> {
    let Some(session) = session else { return Ok(()) };
    let asked = async {
        let statement = session.prepare(format!("SELECT a, b FROM {KEYSPACE}.t{number} WHERE a = ?")).await.ok()?;
        let rows = session.execute_unpaged(&statement, (7_i32,)).await.ok()?.into_rows_result().ok()?;
        Some(rows.rows::<(i32, Option<String>)>().ok()?.count())
    };
    match timeout(ANSWER_MAX, asked).await.ok().flatten() {
        Some(0) => acknowledged(file, "prepared"),
        Some(count) => Err(format!("t{number} has {count} rows, and nobody wrote any")),
        // A node went away between the two, which happens.
        None => Ok(()),
    }
}

fn acknowledged(file: &mut File, line: &str) -> Result<(), String> {
    writeln!(file, "{line}").and_then(|()| file.flush()).map_err(|error| format!("the file cannot be written: {error}"))
}

#[cfg(test)]
mod tests {
    use super::first_number;

    #[test]
    fn a_client_that_was_killed_makes_no_table_twice() {
        assert_eq!(first_number(""), 1);
        assert_eq!(first_number("created t1\nprepared\ncreated t12\ndropping t9\ndropped t9\n"), 13);
    }
}
