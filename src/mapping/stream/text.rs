//! The text of a source of bytes: decoded piece by piece, with the place of every character in the bytes, and bounded.
//!
//! What a parser takes is kept until it is released, so that a record can be cut out as it was written. A record that
//! is longer than the limit ends the reading.

use std::io::{self, BufRead, ErrorKind, Read};

use encoding_rs::{Decoder, DecoderResult, Encoding, UTF_8, WINDOWS_1254};

use super::{Broken, StreamError};

/// Bytes read at a time.
const CHUNK: usize = 64 * 1024;

/// Released text is moved out of the way when there is so much of it.
const COMPACT: usize = 64 * 1024;

const BOM: &[u8] = b"\xEF\xBB\xBF";

/// How a file's bytes become text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Charset {
    encoding: &'static Encoding,
    /// Bytes of the byte order mark before the text.
    bom: usize,
}

impl Charset {
    /// The charset of an XML document by its first bytes (a few hundred are enough): a byte order mark wins over the
    /// declaration, a declared ISO-8859-9 is read by the windows-1254 table, nothing declared is UTF-8.
    pub fn of_xml(head: &[u8]) -> Result<Charset, Broken> {
        if let Some(charset) = by_mark(head)? {
            return Ok(charset);
        }
        if head.starts_with(b"<\0") || head.starts_with(b"\0<") {
            return Err(wide());
        }
        match declared(head) {
            None => Ok(Charset { encoding: UTF_8, bom: 0 }),
            Some(label) => Charset::by_name(&label),
        }
    }

    /// That of a list without a declaration: `is_utf8` says whether all of it is valid UTF-8; what is not is a Turkish
    /// code page.
    pub fn of_list(head: &[u8], is_utf8: bool) -> Result<Charset, Broken> {
        let guessed = Charset { encoding: if is_utf8 { UTF_8 } else { WINDOWS_1254 }, bom: 0 };
        Ok(by_mark(head)?.unwrap_or(guessed))
    }

    /// By the name that a declaration or a person gives.
    pub fn by_name(label: &str) -> Result<Charset, Broken> {
        let known = Encoding::for_label(label.trim().as_bytes());
        match known {
            Some(encoding) if encoding == UTF_8 || encoding.is_single_byte() => Ok(Charset { encoding, bom: 0 }),
            Some(encoding) if encoding.name().starts_with("UTF-16") => Err(wide()),
            _ => {
                let shown: String = label.trim().chars().take(40).collect();
                let detail = format!("the encoding `{shown}` is not read; write the file as UTF-8 or ISO-8859-9");
                Err(Broken::at_start("encoding", detail))
            }
        }
    }

    /// The same for a file that may begin with a mark all the same.
    pub fn with_mark(self, head: &[u8]) -> Result<Charset, Broken> {
        Ok(by_mark(head)?.unwrap_or(self))
    }

    pub fn name(self) -> &'static str {
        self.encoding.name()
    }
}

fn by_mark(head: &[u8]) -> Result<Option<Charset>, Broken> {
    match Encoding::for_bom(head) {
        None => Ok(None),
        Some((encoding, bom)) if encoding == UTF_8 => Ok(Some(Charset { encoding, bom })),
        Some(_) => Err(wide()),
    }
}

fn wide() -> Broken {
    Broken::at_start("encoding", "UTF-16 is not read; write the file as UTF-8 or ISO-8859-9".to_owned())
}

/// The encoding that an XML declaration names.
fn declared(head: &[u8]) -> Option<String> {
    let rest = head.strip_prefix(b"<?xml")?;
    let end = rest.windows(2).position(|pair| pair == b"?>")?;
    let declaration = std::str::from_utf8(&rest[..end]).ok()?;
    let (_, after) = declaration.split_once("encoding")?;
    let after = after.trim_start().strip_prefix('=')?.trim_start();
    let quote = after.chars().next().filter(|first| matches!(first, '"' | '\''))?;
    after[1..].split_once(quote).map(|(label, _)| label.to_owned())
}

/// Why the text ended early.
#[derive(Debug)]
enum Stop {
    /// This byte is no text in the file's encoding.
    NotText {
        raw: u64,
        byte: u8,
    },
    TooLong,
    Io(io::Error),
}

/// A place in the text: in bytes of UTF-8, in bytes of the file, and its line from 1.
#[derive(Debug, Clone, Copy)]
struct Mark {
    text: u64,
    raw: u64,
    line: u64,
}

/// See the module.
pub struct Text<R> {
    source: R,
    charset: Charset,
    decoder: Decoder,
    raw: Vec<u8>,
    raw_from: usize,
    /// Bytes of the file that the decoder has taken.
    raw_taken: u64,
    ended: bool,
    decoded: Vec<u8>,
    decoded_from: usize,
    /// What was consumed since the mark, behind what was released and not moved away yet.
    kept: Vec<u8>,
    kept_from: usize,
    mark: Mark,
    /// At most so much is kept.
    limit: usize,
    stop: Option<Stop>,
}

impl<R: Read> Text<R> {
    /// `limit`: bytes of text that one record may have.
    pub fn new(source: R, charset: Charset, limit: usize) -> Text<R> {
        Text {
            source,
            charset,
            decoder: charset.encoding.new_decoder_without_bom_handling(),
            raw: Vec::new(),
            raw_from: 0,
            raw_taken: 0,
            ended: false,
            decoded: Vec::new(),
            decoded_from: 0,
            kept: Vec::new(),
            kept_from: 0,
            mark: Mark { text: 0, raw: 0, line: 1 },
            limit,
            stop: None,
        }
    }

    /// Forgets everything before this place of the text.
    pub(super) fn release(&mut self, to: u64) {
        let count = usize::try_from(to.saturating_sub(self.mark.text)).unwrap_or(usize::MAX);
        let count = count.min(self.kept.len() - self.kept_from);
        if count == 0 {
            return;
        }
        self.mark = self.after(count);
        self.kept_from += count;
        if self.kept_from == self.kept.len() {
            self.kept.clear();
            self.kept_from = 0;
        } else if self.kept_from > COMPACT {
            self.kept.drain(..self.kept_from);
            self.kept_from = 0;
        }
    }

    /// The text from the last release to this place.
    pub(super) fn since_release(&self, to: u64) -> &str {
        let count = usize::try_from(to.saturating_sub(self.mark.text)).unwrap_or(usize::MAX);
        let kept = &self.kept[self.kept_from..];
        // Whatever the decoder wrote is UTF-8, and parsers cut between characters.
        std::str::from_utf8(&kept[..count.min(kept.len())]).unwrap_or_default()
    }

    /// Line and byte of the file at which the text since the last release begins.
    pub(super) fn place(&self) -> (u64, u64) {
        (self.mark.line, self.mark.raw)
    }

    fn after(&self, count: usize) -> Mark {
        let passed = &self.kept[self.kept_from..self.kept_from + count];
        let lines = passed.iter().filter(|byte| **byte == b'\n').count();
        let raw = if self.charset.encoding == UTF_8 {
            passed.len()
        } else {
            // One byte a character.
            passed.iter().filter(|byte| **byte & 0xC0 != 0x80).count()
        };
        let Mark { text, raw: raw_before, line } = self.mark;
        Mark { text: text + count as u64, raw: raw_before + raw as u64, line: line + lines as u64 }
    }

    /// A fault at this place of the text.
    pub(super) fn broken(&self, what: &'static str, at: u64, detail: impl Into<String>) -> Broken {
        let count = usize::try_from(at.saturating_sub(self.mark.text)).unwrap_or(usize::MAX);
        let at = self.after(count.min(self.kept.len() - self.kept_from));
        Broken { what, line: at.line, byte: at.raw, detail: detail.into() }
    }

    /// What ended the text early, if anything did.
    pub(super) fn stopped(&mut self) -> Option<StreamError> {
        let all = self.kept.len() - self.kept_from;
        Some(match self.stop.take()? {
            Stop::Io(error) => StreamError::Io(error),
            Stop::NotText { raw, byte } => {
                let detail = format!("byte 0x{byte:02X} is not {}", self.charset.name());
                StreamError::Broken(Broken { what: "encoding", line: self.after(all).line, byte: raw, detail })
            }
            Stop::TooLong => {
                let detail = format!("a record or what stands between two is longer than {} bytes", self.limit);
                StreamError::Broken(Broken { what: "too_large", line: self.mark.line, byte: self.mark.raw, detail })
            }
        })
    }

    fn refill(&mut self) -> Result<(), Stop> {
        self.decoded.clear();
        self.decoded_from = 0;
        while self.decoded.is_empty() && !self.ended {
            if self.raw_from == self.raw.len() {
                self.read_chunk().map_err(Stop::Io)?;
            }
            let last = self.raw.is_empty();
            self.decoded.resize(CHUNK * 3 + 16, 0);
            let bytes = &self.raw[self.raw_from..];
            let (result, read, written) =
                self.decoder.decode_to_utf8_without_replacement(bytes, &mut self.decoded, last);
            self.decoded.truncate(written);
            self.raw_from += read;
            self.raw_taken += read as u64;
            match result {
                DecoderResult::InputEmpty => self.ended = last,
                DecoderResult::OutputFull => {}
                DecoderResult::Malformed(length, after) => {
                    let behind = u64::from(length) + u64::from(after);
                    let raw = self.raw_taken.saturating_sub(behind);
                    // Of a character that began in the chunk before only the place is known.
                    let byte = usize::try_from(behind).ok().and_then(|behind| self.raw_from.checked_sub(behind));
                    let byte = byte.and_then(|at| self.raw.get(at)).copied().unwrap_or_default();
                    self.ended = true;
                    self.stop = Some(Stop::NotText { raw, byte });
                }
            }
        }
        Ok(())
    }

    fn read_chunk(&mut self) -> io::Result<()> {
        self.raw.resize(CHUNK, 0);
        self.raw_from = 0;
        let mut count = 0;
        // Full chunks, so that the mark at the beginning is never cut.
        while count < CHUNK {
            match self.source.read(&mut self.raw[count..]) {
                Ok(0) => break,
                Ok(read) => count += read,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => {
                    self.raw.clear();
                    return Err(error);
                }
            }
        }
        self.raw.truncate(count);
        if self.raw_taken == 0 && self.charset.bom > 0 && self.raw.starts_with(BOM) {
            self.raw_from = self.charset.bom;
            self.raw_taken = self.charset.bom as u64;
            self.mark.raw = self.raw_taken;
        }
        Ok(())
    }

    /// The text up to the first line break, or what there is of it in the first chunk. Nothing is consumed.
    pub(super) fn first_line(&mut self) -> Result<String, StreamError> {
        match self.fill_buf() {
            Ok(text) => {
                let line = text.split(|byte| *byte == b'\n').next().unwrap_or_default();
                Ok(String::from_utf8_lossy(line).into_owned())
            }
            Err(error) => Err(self.stopped().unwrap_or(StreamError::Io(error))),
        }
    }
}

impl<R: Read> BufRead for Text<R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.decoded_from == self.decoded.len() {
            let told = || io::Error::new(ErrorKind::InvalidData, "the text ends here");
            if self.kept.len() - self.kept_from > self.limit {
                self.stop = Some(Stop::TooLong);
                return Err(told());
            }
            if self.stop.is_some() {
                return Err(told());
            }
            if let Err(stop) = self.refill() {
                self.stop = Some(stop);
                return Err(told());
            }
            if self.decoded.is_empty() && self.stop.is_some() {
                return Err(told());
            }
        }
        Ok(&self.decoded[self.decoded_from..])
    }

    fn consume(&mut self, count: usize) {
        let to = self.decoded.len().min(self.decoded_from + count);
        self.kept.extend_from_slice(&self.decoded[self.decoded_from..to]);
        self.decoded_from = to;
    }
}

impl<R: Read> Read for Text<R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let available = self.fill_buf()?;
        let count = available.len().min(buf.len());
        buf[..count].copy_from_slice(&available[..count]);
        self.consume(count);
        Ok(count)
    }
}

/// Whether bytes that come in pieces are valid UTF-8.
#[derive(Debug)]
pub struct Utf8Check {
    decoder: Decoder,
    scratch: Vec<u8>,
    valid: bool,
}

impl Default for Utf8Check {
    fn default() -> Utf8Check {
        let decoder = UTF_8.new_decoder_without_bom_handling();
        Utf8Check { decoder, scratch: vec![0; CHUNK], valid: true }
    }
}

impl Utf8Check {
    pub fn take(&mut self, bytes: &[u8]) {
        self.feed(bytes, false);
    }

    pub fn end(mut self) -> bool {
        self.feed(&[], true);
        self.valid
    }

    fn feed(&mut self, mut bytes: &[u8], last: bool) {
        while self.valid {
            let (result, read, _) = self.decoder.decode_to_utf8_without_replacement(bytes, &mut self.scratch, last);
            bytes = &bytes[read..];
            match result {
                DecoderResult::InputEmpty => return,
                DecoderResult::OutputFull => {}
                DecoderResult::Malformed(..) => self.valid = false,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(bytes: &[u8], charset: Charset) -> Result<String, String> {
        let mut text = Text::new(bytes, charset, 1 << 20);
        let mut out = String::new();
        match text.read_to_string(&mut out) {
            Ok(_) => Ok(out),
            Err(_) => Err(text.stopped().map(|stop| stop.to_string()).unwrap_or_default()),
        }
    }

    fn xml(bytes: &[u8]) -> Result<String, String> {
        read(bytes, Charset::of_xml(bytes).map_err(|broken| broken.to_string())?)
    }

    #[test]
    fn the_mark_wins_over_the_declaration_and_latin_5_is_the_windows_table() {
        let declared = br#"<?xml version='1.0' encoding = 'ISO-8859-9'?>"#;
        let turkish = [declared.as_slice(), b"\xDD\xFE\x93"].concat();
        assert!(xml(&turkish).unwrap().ends_with("İş“"));
        let marked = [BOM, declared.as_slice(), "İş“".as_bytes()].concat();
        assert!(xml(&marked).unwrap().ends_with("İş“"));
        assert_eq!(xml("<a>İ</a>".as_bytes()).unwrap(), "<a>İ</a>");
        for wide in [&b"\xFF\xFE<\0"[..], b"\xFE\xFF\0<", b"<\0a\0", br#"<?xml version="1.0" encoding="utf-16"?>"#] {
            assert!(xml(wide).unwrap_err().contains("UTF-16 is not read"), "{wide:?}");
        }
        assert!(xml(br#"<?xml version="1.0" encoding="Shift_JIS"?>"#).unwrap_err().contains("`Shift_JIS`"));
    }

    #[test]
    fn a_byte_that_is_no_text_is_named_with_its_place() {
        assert_eq!(xml(b"<a>\nYal\xFDn</a>").unwrap_err(), "encoding, line 2, byte 7: byte 0xFD is not UTF-8");
        // Far behind the first chunk, and cut off in the middle of a letter.
        let mut long = vec![b'x'; 3 * CHUNK];
        long[10] = b'\n';
        long.push(0xC4);
        let error = xml(&long).unwrap_err();
        assert!(error.starts_with(&format!("encoding, line 2, byte {}", 3 * CHUNK)), "{error}");
    }

    #[test]
    fn places_are_those_of_the_file() {
        let charset = Charset::by_name("windows-1254").unwrap();
        let mut text = Text::new(&b"\xDD\xDE\n\xFEx"[..], charset, 100);
        let mut out = String::new();
        text.read_to_string(&mut out).unwrap();
        assert_eq!(out, "İŞ\nşx");
        text.release(5);
        assert_eq!((text.place(), text.since_release(7)), ((2, 3), "ş"));
        let broken = text.broken("not_xml", 7, "here");
        assert_eq!((broken.line, broken.byte), (2, 4));
    }

    #[test]
    fn what_is_never_released_ends_at_the_limit() {
        let endless = io::repeat(b'x');
        let mut text = Text::new(endless, Charset::by_name("utf-8").unwrap(), 200_000);
        assert!(io::copy(&mut text, &mut io::sink()).is_err());
        assert!(text.stopped().unwrap().to_string().starts_with("too_large, line 1, byte 0"), "told with its place");
        assert!(text.kept.capacity() < 1 << 20);
    }

    #[test]
    fn valid_utf_8_is_known_across_pieces() {
        let check = |pieces: &[&[u8]]| {
            let mut check = Utf8Check::default();
            pieces.iter().for_each(|piece| check.take(piece));
            check.end()
        };
        assert!(check(&[b"a\xC4", b"\xB0"]));
        assert!(!check(&[b"a\xC4"]));
        assert!(!check(&[b"\xDD", b"x"]));
    }
}
