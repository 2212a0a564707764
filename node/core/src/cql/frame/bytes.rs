//! The native protocol's notations: a checked reader of what a client sent, a writer of what it gets.

use std::net::{IpAddr, SocketAddr};

/// Bytes that are not what the protocol says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("malformed message: {0}")]
pub struct Malformed(pub &'static str);

/// What is left to read. Every method takes its notation off the front, or fails and takes nothing certain.
#[derive(Clone, Copy, Debug)]
pub struct Reader<'b> {
    rest: &'b [u8],
}

impl<'b> Reader<'b> {
    /// Of all these bytes.
    pub const fn new(bytes: &'b [u8]) -> Self {
        Self { rest: bytes }
    }

    /// What is left.
    pub const fn rest(&self) -> &'b [u8] {
        self.rest
    }

    /// The next `len` bytes.
    pub fn take(&mut self, len: usize) -> Result<&'b [u8], Malformed> {
        let (taken, rest) = self.rest.split_at_checked(len).ok_or(Malformed("it ends early"))?;
        self.rest = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Malformed> {
        self.take(N)?.try_into().map_err(|_| Malformed("it ends early"))
    }

    /// `[byte]`
    pub fn byte(&mut self) -> Result<u8, Malformed> {
        self.array().map(|[byte]| byte)
    }

    /// `[short]`, unsigned
    pub fn short(&mut self) -> Result<u16, Malformed> {
        self.array().map(u16::from_be_bytes)
    }

    /// `[int]`
    pub fn int(&mut self) -> Result<i32, Malformed> {
        self.array().map(i32::from_be_bytes)
    }

    /// `[long]`
    pub fn long(&mut self) -> Result<i64, Malformed> {
        self.array().map(i64::from_be_bytes)
    }

    /// `[string]`
    pub fn string(&mut self) -> Result<&'b str, Malformed> {
        let len = self.short()?;
        text(self.take(len.into())?)
    }

    /// `[long string]`
    pub fn long_string(&mut self) -> Result<&'b str, Malformed> {
        let len = usize::try_from(self.int()?).map_err(|_| Malformed("a string of negative length"))?;
        text(self.take(len)?)
    }

    /// `[bytes]`; a negative length is null.
    pub fn bytes(&mut self) -> Result<Option<&'b [u8]>, Malformed> {
        match usize::try_from(self.int()?) {
            Ok(len) => self.take(len).map(Some),
            Err(_) => Ok(None),
        }
    }

    /// `[short bytes]`
    pub fn short_bytes(&mut self) -> Result<&'b [u8], Malformed> {
        let len = self.short()?;
        self.take(len.into())
    }

    /// As many of `item` as a `[short]` before them says.
    pub fn many<T>(&mut self, mut item: impl FnMut(&mut Self) -> Result<T, Malformed>) -> Result<Vec<T>, Malformed> {
        let count = self.short()?;
        (0..count).map(|_| item(self)).collect()
    }

    /// `[string list]`
    pub fn string_list(&mut self) -> Result<Vec<String>, Malformed> {
        self.many(|reader| reader.string().map(str::to_owned))
    }

    /// `[inet]`
    pub fn inet(&mut self) -> Result<SocketAddr, Malformed> {
        let len = self.byte()?;
        let address = ip(self.take(len.into())?)?;
        let port = u16::try_from(self.int()?).map_err(|_| Malformed("no port"))?;
        Ok(SocketAddr::new(address, port))
    }
}

fn text(bytes: &[u8]) -> Result<&str, Malformed> {
    str::from_utf8(bytes).map_err(|_| Malformed("a string is not UTF-8"))
}

/// An address of 4 or 16 bytes.
pub fn ip(bytes: &[u8]) -> Result<IpAddr, Malformed> {
    let four = <[u8; 4]>::try_from(bytes).map(IpAddr::from);
    four.or_else(|_| <[u8; 16]>::try_from(bytes).map(IpAddr::from)).map_err(|_| Malformed("no address"))
}

/// Collects bytes. What is too long for its length field is cut; only texts of errors can be.
#[derive(Clone, Debug, Default)]
pub struct Writer {
    bytes: Vec<u8>,
}

impl Writer {
    /// All that was written.
    pub fn finish(self) -> Vec<u8> {
        self.bytes
    }

    /// Bytes as they are.
    pub fn raw(&mut self, bytes: &[u8]) -> &mut Self {
        self.bytes.extend_from_slice(bytes);
        self
    }

    /// `[byte]`
    pub fn byte(&mut self, byte: u8) -> &mut Self {
        self.raw(&[byte])
    }

    /// `[short]`
    pub fn short(&mut self, number: u16) -> &mut Self {
        self.raw(&number.to_be_bytes())
    }

    /// `[int]`
    pub fn int(&mut self, number: i32) -> &mut Self {
        self.raw(&number.to_be_bytes())
    }

    /// A count or length as `[int]`.
    pub fn count(&mut self, count: usize) -> &mut Self {
        self.int(i32::try_from(count).unwrap_or(i32::MAX))
    }

    /// A count as `[short]`.
    pub fn short_count(&mut self, count: usize) -> &mut Self {
        self.short(u16::try_from(count).unwrap_or(u16::MAX))
    }

    /// `[string]`
    pub fn string(&mut self, text: &str) -> &mut Self {
        let text = text.get(..text.floor_char_boundary(u16::MAX.into())).unwrap_or_default();
        self.short_count(text.len()).raw(text.as_bytes())
    }

    /// `[long string]`
    pub fn long_string(&mut self, text: &str) -> &mut Self {
        self.count(text.len()).raw(text.as_bytes())
    }

    /// `[bytes]`
    pub fn bytes(&mut self, bytes: Option<&[u8]>) -> &mut Self {
        match bytes {
            Some(bytes) => self.count(bytes.len()).raw(bytes),
            None => self.int(-1),
        }
    }

    /// `[short bytes]`
    pub fn short_bytes(&mut self, bytes: &[u8]) -> &mut Self {
        let bytes = bytes.get(..bytes.len().min(u16::MAX.into())).unwrap_or_default();
        self.short_count(bytes.len()).raw(bytes)
    }

    /// `[string list]`
    pub fn string_list(&mut self, texts: &[String]) -> &mut Self {
        self.short_count(texts.len());
        for text in texts {
            self.string(text);
        }
        self
    }

    /// `[inet]`
    pub fn inet(&mut self, address: SocketAddr) -> &mut Self {
        match address.ip() {
            IpAddr::V4(ip) => self.byte(4).raw(&ip.octets()),
            IpAddr::V6(ip) => self.byte(16).raw(&ip.octets()),
        };
        self.int(address.port().into())
    }
}
