//! The bytes of a data file, unpacked where it is gzip.
//!
//! - Known by its first two bytes, whatever its name; pipes can be read.
//! - A file of several gzip members, as parallel packers and `cat` make them, is read to its end; one that is
//!   cut short is an error, not an end.

use std::fs::File;
use std::io;
use std::io::BufReader;
use std::io::Chain;
use std::io::Cursor;
use std::io::Read;
use std::path::Path;

use flate2::read::MultiGzDecoder;

/// What gzip begins with (RFC 1952).
const MAGIC: [u8; 2] = [0x1f, 0x8b];
/// Bytes that are read at a time.
const BUFFER: usize = 1 << 18;

/// The first bytes, which were looked at, and the rest.
type Raw = Chain<Cursor<Vec<u8>>, File>;

/// A file's content.
#[derive(Debug)]
pub enum Bytes {
    Plain(Raw),
    Gzip(Box<MultiGzDecoder<BufReader<Raw>>>),
}

/// Opens a file for reading what is in it.
///
/// # Errors
/// When it cannot be opened or not even its first bytes be read.
pub fn open(path: &Path) -> io::Result<BufReader<Bytes>> {
    let mut file = File::open(path)?;
    let mut first = Vec::with_capacity(MAGIC.len());
    file.by_ref().take(MAGIC.len() as u64).read_to_end(&mut first)?;
    let is_gzip = first == MAGIC;
    let raw = Cursor::new(first).chain(file);
    let bytes = if is_gzip {
        Bytes::Gzip(Box::new(MultiGzDecoder::new(BufReader::with_capacity(BUFFER, raw))))
    } else {
        Bytes::Plain(raw)
    };
    Ok(BufReader::with_capacity(BUFFER, bytes))
}

/// A file's name without the ending that says it is packed.
pub fn unpacked_name(path: &Path) -> String {
    let name = path.file_name().map_or(String::new(), |name| name.to_string_lossy().into_owned());
    name.strip_suffix(".gz").map_or(name.clone(), str::to_owned)
}

impl Read for Bytes {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(raw) => raw.read(buffer),
            Self::Gzip(packed) => packed.read(buffer),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io::Write;

    use flate2::Compression;
    use flate2::write::GzEncoder;

    use super::*;

    fn packed(text: &str) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(text.as_bytes()).unwrap();
        encoder.finish().unwrap()
    }

    fn read(content: &[u8]) -> io::Result<String> {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), content).unwrap();
        let mut text = String::new();
        open(file.path())?.read_to_string(&mut text)?;
        Ok(text)
    }

    #[test]
    fn a_packed_file_reads_like_the_file_itself() {
        for text in ["", "\n", "\u{1f}", "a,b\n1,2\n", &"user,item\n".repeat(100_000)] {
            assert_eq!(read(text.as_bytes()).unwrap(), text);
            assert_eq!(read(&packed(text)).unwrap(), text);
        }
        let members = [packed("user,item\n"), packed("1,2\n")].concat();
        assert_eq!(read(&members).unwrap(), "user,item\n1,2\n");
    }

    #[test]
    fn a_file_cut_short_is_no_shorter_file() {
        let whole = packed(&"user,item\n".repeat(100));
        assert!(read(&whole[..whole.len() - 9]).is_err());
        assert!(read(&whole[..2]).is_err());
    }
}
