//! Cuts the text of a statement into tokens. It bounds what the parser after it may do: how many tokens, how deep they nest.

use super::parse::Failure;

/// Tokens of one statement: about 60 for each of 1,500 columns. Bounds the memory that one frame of text can take.
pub const TOKENS_MAX: usize = 100_000;

/// Brackets open at once. Each recursion of the parser costs one, so this bounds its stack.
pub const NESTING_MAX: usize = 48;

/// Places for bound values in one statement; more than any table has columns here.
pub const MARKERS_MAX: usize = 4096;

/// What a token is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// A name or keyword without quotes.
    Word,
    /// `"…"`
    Quoted,
    /// `'…'`
    Text,
    /// `$$…$$`
    Dollars,
    /// A number or a duration: starts with a digit, or a minus and a digit.
    Number,
    /// `xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx`
    Uuid,
    /// `0x…`
    Blob,
    /// `?`, the n-th marker.
    Bind(usize),
    /// `:name`
    NamedBind,
    /// An operator or a bracket.
    Symbol,
    /// After the last one.
    End,
}

/// A piece of the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Token<'t> {
    /// What it is.
    pub kind: Kind,
    /// As written.
    pub text: &'t str,
    /// Where it starts, in bytes.
    pub offset: usize,
}

impl Token<'_> {
    /// Where it ends, in bytes.
    pub const fn end(&self) -> usize {
        self.offset + self.text.len()
    }
}

/// A text as tokens, with [`Kind::End`] last.
#[derive(Debug)]
pub(super) struct Tokens<'t> {
    /// Never empty.
    pub list: Vec<Token<'t>>,
    /// The places for bound values, in their order: each `?`, and each name once.
    pub markers: Vec<Option<String>>,
}

/// Cuts `text` into tokens.
pub(super) fn tokens(text: &str) -> Result<Tokens<'_>, Failure> {
    let mut tokens = Tokens { list: Vec::new(), markers: Vec::new() };
    let (mut at, mut open) = (0, 0_usize);
    loop {
        at = skip_blanks(text, at)?;
        let rest = text.get(at..).unwrap_or_default();
        if rest.is_empty() {
            break;
        }
        let (kind, len) = token(rest).ok_or(Failure::at(at))?;
        let text = rest.get(..len).ok_or(Failure::at(at))?;
        open = nesting(text, open);
        if open > NESTING_MAX || tokens.list.len() >= TOKENS_MAX || tokens.markers.len() > MARKERS_MAX {
            return Err(Failure::at(at).because("the statement is too long or too deeply nested"));
        }
        let kind = mark(kind, text, &mut tokens.markers);
        tokens.list.push(Token { kind, text, offset: at });
        at += len;
    }
    tokens.list.push(Token { kind: Kind::End, text: "", offset: text.len() });
    Ok(tokens)
}

fn nesting(text: &str, open: usize) -> usize {
    match text {
        "(" | "[" | "{" | "<" => open + 1,
        ")" | "]" | "}" | ">" => open.saturating_sub(1),
        _ => open,
    }
}

fn mark(kind: Kind, text: &str, markers: &mut Vec<Option<String>>) -> Kind {
    match kind {
        Kind::Bind(_) => {
            markers.push(None);
            Kind::Bind(markers.len() - 1)
        }
        Kind::NamedBind => {
            let name = Some(bind_name(text));
            if !markers.contains(&name) {
                markers.push(name);
            }
            kind
        }
        _ => kind,
    }
}

/// The name of `:name` or `:"Name"`.
pub(super) fn bind_name(text: &str) -> String {
    let name = text.trim_start_matches(':');
    if name.starts_with('"') { unquote(name, '"') } else { name.to_ascii_lowercase() }
}

/// What stands between quotes, with doubled ones made single.
pub(super) fn unquote(text: &str, quote: char) -> String {
    let inner = text.strip_prefix(quote).and_then(|t| t.strip_suffix(quote)).unwrap_or(text);
    inner.replace(&format!("{quote}{quote}"), &quote.to_string())
}

fn skip_blanks(text: &str, mut at: usize) -> Result<usize, Failure> {
    loop {
        let rest = text.get(at..).unwrap_or_default();
        let blanks = rest.len() - rest.trim_start().len();
        let rest = rest.trim_start();
        let comment = if rest.starts_with("--") || rest.starts_with("//") {
            rest.find('\n').unwrap_or(rest.len())
        } else if rest.starts_with("/*") {
            rest.find("*/").ok_or(Failure::at(at + blanks))? + 2
        } else {
            return Ok(at + blanks);
        };
        at += blanks + comment;
    }
}

/// The kind and the length of the first token of a text that is not empty and starts with no blank.
fn token(rest: &str) -> Option<(Kind, usize)> {
    let bytes = rest.as_bytes();
    match bytes.first()? {
        b'\'' => Some((Kind::Text, quoted(bytes, b'\'')?)),
        b'"' => Some((Kind::Quoted, quoted(bytes, b'"')?)),
        b'$' => dollars(rest),
        b'?' => Some((Kind::Bind(0), 1)),
        b':' => Some(named_bind(bytes)),
        _ if is_uuid(bytes) => Some((Kind::Uuid, UUID_LEN)),
        b'0' if bytes.get(1).is_some_and(|b| matches!(b, b'x' | b'X')) => {
            Some((Kind::Blob, 2 + run(bytes, 2, |b| b.is_ascii_hexdigit())))
        }
        b'0'..=b'9' => Some((Kind::Number, number(bytes, 0))),
        b'-' if bytes.get(1).is_some_and(u8::is_ascii_digit) => Some((Kind::Number, number(bytes, 1))),
        b'a'..=b'z' | b'A'..=b'Z' => Some((Kind::Word, run(bytes, 0, is_word_byte))),
        _ => symbol(rest),
    }
}

const UUID_LEN: usize = 36;

fn is_uuid(bytes: &[u8]) -> bool {
    let Some(head) = bytes.get(..UUID_LEN) else { return false };
    let dashes = [8, 13, 18, 23];
    head.iter().enumerate().all(|(i, b)| if dashes.contains(&i) { *b == b'-' } else { b.is_ascii_hexdigit() })
        && !bytes.get(UUID_LEN).is_some_and(|b| is_word_byte(*b))
}

const fn is_word_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

/// How many bytes from `from` on are such.
fn run(bytes: &[u8], from: usize, such: impl Fn(u8) -> bool) -> usize {
    bytes.iter().skip(from).take_while(|b| such(**b)).count()
}

/// The length up to the closing quote; a doubled quote does not close.
fn quoted(bytes: &[u8], quote: u8) -> Option<usize> {
    let mut at = 1;
    loop {
        at += run(bytes, at, |b| b != quote);
        bytes.get(at)?;
        if bytes.get(at + 1) != Some(&quote) {
            return Some(at + 1);
        }
        at += 2;
    }
}

fn dollars(rest: &str) -> Option<(Kind, usize)> {
    let inner = rest.strip_prefix("$$")?.find("$$")?;
    Some((Kind::Dollars, inner + 4))
}

fn named_bind(bytes: &[u8]) -> (Kind, usize) {
    let name = match bytes.get(1) {
        Some(b'"') => quoted(bytes.get(1..).unwrap_or_default(), b'"').unwrap_or(0),
        Some(b) if b.is_ascii_alphabetic() => run(bytes, 1, is_word_byte),
        _ => 0,
    };
    if name == 0 { (Kind::Symbol, 1) } else { (Kind::NamedBind, 1 + name) }
}

/// Digits, a fraction, an exponent, or the units of a duration (`1h30m`).
fn number(bytes: &[u8], sign: usize) -> usize {
    let mut len = sign;
    loop {
        len += run(bytes, len, |b| b.is_ascii_alphanumeric());
        let after = bytes.get(len + 1).is_some_and(u8::is_ascii_digit);
        let exponent = len > 0 && matches!(bytes.get(len - 1), Some(b'e' | b'E'));
        match bytes.get(len) {
            Some(b'.') if after => len += 1,
            Some(b'+' | b'-') if after && exponent => len += 1,
            _ => return len,
        }
    }
}

fn symbol(rest: &str) -> Option<(Kind, usize)> {
    const PAIRS: [&str; 5] = ["<=", ">=", "!=", "+=", "-="];
    const SINGLES: &str = "()[]{}<>=,;.*+-:";
    if PAIRS.iter().any(|pair| rest.starts_with(pair)) {
        return Some((Kind::Symbol, 2));
    }
    rest.starts_with(|c| SINGLES.contains(c)).then_some((Kind::Symbol, 1))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn texts(text: &str) -> Vec<&str> {
        tokens(text).unwrap().list.into_iter().map(|t| t.text).collect()
    }

    #[test]
    fn tokens_need_no_blanks_between_them() {
        assert_eq!(texts("WHERE k='v''w'AND a<=-1.5e-3"), ["WHERE", "k", "=", "'v''w'", "AND", "a", "<=", "-1.5e-3", ""]);
        assert_eq!(texts("a.b /* c */ -- d\n , 0xCAFE // e"), ["a", ".", "b", ",", "0xCAFE", ""]);
        assert_eq!(texts("{'a':1,:b}"), ["{", "'a'", ":", "1", ",", ":b", "}", ""]);
        assert_eq!(texts("$$ it's $$"), ["$$ it's $$", ""]);
    }

    #[test]
    fn a_uuid_is_one_token() {
        let tokens = tokens("5b6962dd-3f90-4c93-8f61-eabfa4a803e2").unwrap();
        assert_eq!(tokens.list.first().unwrap().kind, Kind::Uuid);
    }

    #[test]
    fn markers_are_numbered_and_names_shared() {
        let tokens = tokens("? :a ? :a").unwrap();
        assert_eq!(tokens.markers, [None, Some("a".to_owned()), None]);
    }

    #[test]
    fn what_has_no_end_fails() {
        for text in ["'a", "\"a", "$$a", "/* a", "§"] {
            assert!(tokens(text).is_err(), "{text}");
        }
        assert!(tokens(&"(".repeat(NESTING_MAX + 1)).is_err());
    }
}
