//! The seal on a saved login, for `token_store = "secret-service"`: AES-256-GCM with a key that the keyring keeps.
//!
//! The sealed token stays in the token file, so all that the file promises (one writer, durable before it is used, seen
//! by others when it changes) holds as without a seal; the keyring is only read, except for the first seal of a login.
//! Each login has a key of its own, named by its file, whose lock the writer holds. Text that was sealed for another
//! client does not open. Rejected: the token itself in the keyring, which promises no durability to a token that
//! rotates; and a key kept in this process, which a locked keyring is meant to take away.

use super::error::Error;
use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use openssl::symm::{Cipher, decrypt_aead, encrypt_aead};
use secrecy::{ExposeSecret, SecretSlice, SecretString};
use std::path::Path;

/// For AES-256.
const KEY: usize = 32;
/// GCM's own length; random, because a login is sealed some thousand times at most (NIST SP 800-38D §8.3).
const NONCE: usize = 12;
const TAG: usize = 16;

/// The token, sealed for `client_id` with the key of the login in `file`. Blocks; needs a runtime around it.
pub(super) fn seal(file: &Path, client_id: &str, token: &SecretString) -> Result<String, Error> {
    let key = match keyring::key(file)? {
        Some(key) => key,
        None => keyring::make(file, random(KEY)?.into())?,
    };
    seal_with(&key, client_id, token)
}

/// The token again; `None` where it was sealed with another key or for another client. Blocks, as [`seal`].
pub(super) fn open(file: &Path, client_id: &str, sealed: &str) -> Result<Option<SecretString>, Error> {
    Ok(keyring::key(file)?.and_then(|key| open_with(&key, client_id, sealed)))
}

fn seal_with(key: &SecretSlice<u8>, client_id: &str, token: &SecretString) -> Result<String, Error> {
    let nonce = random(NONCE)?;
    let mut tag = [0; TAG];
    let text = token.expose_secret().as_bytes();
    let about = client_id.as_bytes();
    let sealed =
        encrypt_aead(Cipher::aes_256_gcm(), key.expose_secret(), Some(&nonce), about, text, &mut tag)
            .map_err(|_| failed("gave a key that does not fit"))?;
    Ok(BASE64.encode([&nonce[..], &tag, &sealed].concat()))
}

fn open_with(key: &SecretSlice<u8>, client_id: &str, sealed: &str) -> Option<SecretString> {
    let bytes = BASE64.decode(sealed).ok()?;
    let (nonce, rest) = bytes.split_at_checked(NONCE)?;
    let (tag, text) = rest.split_at_checked(TAG)?;
    let about = client_id.as_bytes();
    let key = key.expose_secret();
    let text = decrypt_aead(Cipher::aes_256_gcm(), key, Some(nonce), about, text, tag).ok()?;
    String::from_utf8(text).ok().map(SecretString::from)
}

fn random(length: usize) -> Result<Vec<u8>, Error> {
    let mut bytes = vec![0; length];
    openssl::rand::rand_bytes(&mut bytes).map_err(|_| failed("cannot be given a random key"))?;
    Ok(bytes)
}

fn failed(complaint: impl Into<String>) -> Error {
    Error::Keyring { complaint: complaint.into() }
}

/// The keyring of the desktop session, by the Secret Service API (specifications.freedesktop.org/secret-service).
#[cfg(feature = "secret-service")]
mod keyring {
    use super::{Error, KEY, Path, SecretSlice, failed};
    use secrecy::ExposeSecret;
    use secret_service::{Collection, EncryptionType, SecretService};
    use std::collections::HashMap;
    use std::future::Future;
    use std::time::Duration;

    /// A keyring that is open answers at once; one that asks a person first does not belong in a daemon.
    const DEADLINE: Duration = Duration::from_secs(10);

    /// The key of a login, if it has one. A keyring that is locked is an error: nothing is known then.
    pub(super) fn key(file: &Path) -> Result<Option<SecretSlice<u8>>, Error> {
        wait(async {
            let service = SecretService::connect(EncryptionType::Dh).await?;
            find(&open_collection(&service).await?, file).await
        })
    }

    /// Keeps a key for a login, and gives it back as the keyring has it.
    pub(super) fn make(file: &Path, key: SecretSlice<u8>) -> Result<SecretSlice<u8>, Error> {
        wait(async {
            let service = SecretService::connect(EncryptionType::Dh).await?;
            let collection = open_collection(&service).await?;
            let path = file.to_string_lossy();
            let label = format!("posthaste: key of {path}");
            let content = "application/octet-stream";
            collection.create_item(&label, named(&path), key.expose_secret(), true, content).await?;
            find(&collection, file).await
        })?
        .ok_or_else(|| failed("does not keep what it was given"))
    }

    async fn open_collection<'a>(
        service: &'a SecretService<'_>,
    ) -> Result<Collection<'a>, secret_service::Error> {
        let collection = service.get_default_collection().await?;
        // Every other call on a locked one would have the desktop ask a person.
        collection.ensure_unlocked().await?;
        Ok(collection)
    }

    async fn find(
        collection: &Collection<'_>,
        file: &Path,
    ) -> Result<Option<SecretSlice<u8>>, secret_service::Error> {
        let items = collection.search_items(named(&file.to_string_lossy())).await?;
        let Some(item) = items.first() else { return Ok(None) };
        let key = item.get_secret().await?;
        Ok(Some(key).filter(|key| key.len() == KEY).map(SecretSlice::from))
    }

    fn named(path: &str) -> HashMap<&str, &str> {
        HashMap::from([("application", "posthaste"), ("login", path)])
    }

    fn wait<T>(work: impl Future<Output = Result<T, secret_service::Error>>) -> Result<T, Error> {
        let done = async { tokio::time::timeout(DEADLINE, work).await };
        match tokio::runtime::Handle::current().block_on(done) {
            Ok(Ok(value)) => Ok(value),
            Ok(Err(secret_service::Error::Locked)) => Err(failed("is locked")),
            Ok(Err(secret_service::Error::NoResult)) => Err(failed("has no default collection")),
            Ok(Err(error)) => Err(failed(format!("cannot be used: {error}"))),
            Err(_) => Err(failed(format!("gave no answer within {} s", DEADLINE.as_secs()))),
        }
    }
}

/// A configuration that wants a keyring is refused in such a build; a file of another build may still be there.
#[cfg(not(feature = "secret-service"))]
mod keyring {
    use super::{Error, Path, SecretSlice, failed};

    pub(super) fn key(_file: &Path) -> Result<Option<SecretSlice<u8>>, Error> {
        Err(failed("cannot be used: this program was built without the feature secret-service"))
    }

    pub(super) fn make(_file: &Path, _key: SecretSlice<u8>) -> Result<SecretSlice<u8>, Error> {
        key(_file).map(|key| key.unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(byte: u8) -> SecretSlice<u8> {
        vec![byte; KEY].into()
    }

    #[test]
    fn what_is_sealed_opens_with_its_key_for_its_client_and_in_no_other_way() {
        let sealed = seal_with(&key(1), "client", &"1//CANARY".into()).unwrap();
        assert!(!sealed.contains("CANARY"));
        let open = |key: &SecretSlice<u8>, client, sealed: &str| {
            open_with(key, client, sealed).map(|token| token.expose_secret().to_owned())
        };
        assert_eq!(open(&key(1), "client", &sealed).as_deref(), Some("1//CANARY"));
        assert_eq!(open(&key(2), "client", &sealed), None);
        assert_eq!(open(&key(1), "other", &sealed), None);
        for broken in ["", "?", &sealed[..20], &sealed[4..], &format!("AAAA{}", &sealed[4..])] {
            assert_eq!(open(&key(1), "client", broken), None, "{broken}");
        }
    }

    #[test]
    fn no_two_seals_are_the_same() {
        let seal = || seal_with(&key(1), "client", &"token".into()).unwrap();
        assert_ne!(seal(), seal());
    }
}
