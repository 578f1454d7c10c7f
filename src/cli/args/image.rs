//! `--image NAME=FILE`

use std::ffi::OsString;
use std::path::PathBuf;
use std::str::FromStr;

/// An image, and the archive that it comes in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageArchive {
    /// As manifests name it.
    pub name: String,
    /// The archive.
    pub file: PathBuf,
}

impl ImageArchive {
    /// As it was typed.
    pub fn to_argument(&self) -> OsString {
        let mut argument = OsString::from(&self.name);
        argument.push("=");
        argument.push(&self.file);
        argument
    }
}

impl FromStr for ImageArchive {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once('=') {
            Some((name, file)) if !name.is_empty() && !file.is_empty() => {
                Ok(Self { name: name.to_owned(), file: PathBuf::from(file) })
            }
            Some(_) | None => {
                Err("write the image's name, an equals sign and the archive: postgres:17=postgres.tar"
                    .to_owned())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::ImageArchive;

    #[test]
    fn reads_what_it_writes() {
        let read: ImageArchive = "postgres:17=a=b.tar".parse().expect("an image");
        assert_eq!((read.name.as_str(), read.file.to_str()), ("postgres:17", Some("a=b.tar")));
        assert_eq!(read.to_argument(), "postgres:17=a=b.tar");
        for text in ["postgres:17", "=x.tar", "postgres="] {
            assert!(text.parse::<ImageArchive>().is_err(), "{text}");
        }
    }
}
