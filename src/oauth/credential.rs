//! Reads a secret that the service manager hands over: a file in `$CREDENTIALS_DIRECTORY` (systemd.exec(5), "Credentials").
//!
//! Invariants: the name is one file name and never a path; at most 64 KiB; the content is never shown. It does not know
//! where the directory comes from: commands outside the unit have none and are told so.

use super::error::Error;
use crate::task::off_reactor;
use secrecy::SecretString;
use std::io::Read;
use std::path::{Path, PathBuf};

/// More is not a secret.
const LONGEST: u64 = 64 * 1024;

/// The secret in the credential `name`, without one closing newline.
pub async fn read(name: &str, directory: Option<&Path>) -> Result<SecretString, Error> {
    let none =
        |complaint: &str| Error::NoCredential { name: name.to_owned(), complaint: complaint.to_owned() };
    let Some(directory) = directory else {
        return Err(none("is not there: this process was not given any credentials"));
    };
    let path = directory.join(name);
    let text = off_reactor(move || content(path)).await;
    let mut text = text.map_err(|error| none(&format!("cannot be read: {error}")))?;
    if u64::try_from(text.len()).unwrap_or(u64::MAX) > LONGEST {
        return Err(none("is too long for a secret"));
    }
    if text.last() == Some(&b'\n') {
        text.pop();
    }
    match String::from_utf8(text) {
        Ok(text) if !text.is_empty() => Ok(text.into()),
        Ok(_) => Err(none("is empty")),
        Err(_) => Err(none("is not UTF-8")),
    }
}

fn content(path: PathBuf) -> std::io::Result<Vec<u8>> {
    let mut text = Vec::new();
    std::fs::File::open(path)?.take(LONGEST + 1).read_to_end(&mut text)?;
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::{Class, Classified};
    use secrecy::ExposeSecret;

    #[tokio::test]
    async fn a_credential_is_the_content_of_its_file() {
        let home = tempfile::tempdir().unwrap();
        std::fs::write(home.path().join("client-secret"), "hunter2\n").unwrap();
        let secret = read("client-secret", Some(home.path())).await.unwrap();
        assert_eq!(secret.expose_secret(), "hunter2");
    }

    #[tokio::test]
    async fn what_is_no_secret_is_refused_and_not_shown() {
        let home = tempfile::tempdir().unwrap();
        let long = vec![b'x'; 64 * 1024 + 1];
        for (name, content) in [("empty", &b"\n"[..]), ("noise", b"CANARY\xff"), ("long", &long)] {
            std::fs::write(home.path().join(name), content).unwrap();
            let error = read(name, Some(home.path())).await.unwrap_err();
            assert_eq!(error.class(), Class::Configuration);
            assert!(!format!("{error} {error:?}").contains("CANARY"));
        }
        assert!(read("missing", Some(home.path())).await.is_err());
    }

    #[tokio::test]
    async fn outside_the_unit_the_hint_says_how_to_get_there() {
        let error = read("client-secret", None).await.unwrap_err();
        assert!(error.to_string().contains("credential client-secret is not there"), "{error}");
        assert!(error.hint().unwrap().contains("LoadCredential=client-secret:"), "{:?}", error.hint());
    }
}
