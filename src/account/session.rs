//! A session with the IMAP server: a proof, a connection, and one more attempt with a fresh token after a refusal.

use super::board::Complaint;
use super::{LoginError, Shared};
use crate::config::{Account, Auth};
use crate::error::{Class, Classified};
use crate::imap;
use crate::oauth::login_hint;
use jiff::Timestamp;
use std::time::Duration;

/// How long before its token ends a connection is replaced at most: Exchange drops it within seconds of the end.
const BEFORE_EXPIRY: Duration = Duration::from_secs(60);
/// Of a shorter rest only this part is given away: a token of minutes must carry a connection for most of them.
const PART_BEFORE_EXPIRY: u32 = 5;
/// The shortest life of a connection. The end of a token comes closer with every connection while the token endpoint
/// is in trouble: without this the last of them would follow each other without a pause.
const SHORTEST_LIFE: Duration = Duration::from_secs(2);

/// A session that is logged in, and when to replace it.
pub(super) struct Connected {
    pub(super) session: imap::Session,
    pub(super) expires: Option<Timestamp>,
}

impl Connected {
    /// How long this session may live; a day where nothing ends it.
    pub(super) fn life(&self) -> Duration {
        let left = |expires: Timestamp| Duration::try_from(expires.duration_since(Timestamp::now())).ok();
        match self.expires {
            None => Duration::from_secs(24 * 3600),
            Some(expires) => life(left(expires).unwrap_or_default()),
        }
    }
}

/// The life of a connection whose token ends after `left`.
fn life(left: Duration) -> Duration {
    left.saturating_sub(BEFORE_EXPIRY.min(left / PART_BEFORE_EXPIRY)).max(SHORTEST_LIFE)
}

/// Connects and logs in.
pub(super) async fn connect(shared: &Shared) -> Result<Connected, Complaint> {
    let account = &shared.account;
    let options = imap::Options {
        endpoint: account.imap.clone(),
        disable: account.disable.clone(),
        special_use: account.special_use.clone(),
    };
    let proof = shared.login.proof(&account.imap, &account.name).await;
    let proof = proof.map_err(|error| tokenless(shared, &error))?;
    let (session, proof) = match imap::connect(&options, &shared.login.to_mailbox(&proof)).await {
        Err(error) if error.class() == Class::NeedsLogin => {
            let another = shared.login.another(&proof).await.map_err(|error| tokenless(shared, &error))?;
            let Some(proof) = another else { return Err(refused(shared, &error)) };
            let session = imap::connect(&options, &shared.login.to_mailbox(&proof)).await;
            (session.map_err(|error| refused(shared, &error))?, proof)
        }
        outcome => (outcome.map_err(|error| Complaint::new(&error))?, proof),
    };
    Ok(Connected { session, expires: proof.expires() })
}

/// There is no token. Where it is another account's, that one has told: one lost login is one line in the log.
pub(super) fn tokenless(shared: &Shared, error: &LoginError) -> Complaint {
    let complaint = Complaint::new(error);
    match complaint.class == Class::NeedsLogin && shared.login.is_guest() {
        true => complaint.told_elsewhere(),
        false => complaint,
    }
}

/// A refused login names what helps, where the server's words do not.
pub(super) fn refused(shared: &Shared, error: &impl Classified) -> Complaint {
    with_remedy(Complaint::new(error), &shared.account)
}

fn with_remedy(mut complaint: Complaint, account: &Account) -> Complaint {
    if complaint.class == Class::NeedsLogin && complaint.hint.is_none() {
        let Account { name, user, login, .. } = account;
        complaint.hint = Some(match &account.auth {
            Auth::OAuth2(oauth) if oauth.app.is_some() => {
                format!(
                    "ask the administrator whether the application of account {name} may open the mailbox {user}"
                )
            }
            Auth::OAuth2(oauth) if user != login => format!(
                "check that {login} has full access to {user}; if so, {}",
                login_hint(&oauth.token_of)
            ),
            Auth::OAuth2(oauth) => login_hint(&oauth.token_of),
            Auth::Password { .. } => format!("check `user` and the password of account {name}"),
        });
    }
    complaint
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_ends_before_its_token_and_lives_for_most_of_it() {
        let life = |seconds| life(Duration::from_secs(seconds)).as_secs_f64();
        assert_eq!(life(3600), 3540.0);
        assert_eq!(life(300), 240.0);
        assert_eq!(life(60), 48.0);
        assert_eq!(life(5), 4.0);
        assert_eq!(life(0), 2.0);
    }

    fn account(text: &str) -> Account {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text).unwrap();
        let home = std::path::Path::new("/home/a");
        crate::config::Config::load(file.path(), std::iter::empty(), home).unwrap().accounts.remove(0)
    }

    #[test]
    fn a_refused_login_says_what_helps() {
        let own = account("[accounts.lab]\naddress = \"a@gmail.com\"\noauth.client_id = \"c\"");
        let shared = account(
            "[accounts.lab]\naddress = \"team@x.test\"\nprovider = \"microsoft\"\nlogin_as = \"a@x.test\"",
        );
        let password = account(
            "[accounts.lab]\naddress = \"a@me.com\"\nauth = \"password\"\npassword_command = \"pass\"",
        );
        let hint = |class, hint: Option<&str>, account: &Account| {
            let complaint =
                Complaint { class, text: "535".into(), hint: hint.map(str::to_owned), is_told: false };
            with_remedy(complaint, account).hint
        };
        let program = account(
            "[accounts.lab]\naddress = \"a@x.test\"\nprovider = \"gmail\"\noauth = { flow = \"client\", service_account = \"/s\" }",
        );
        assert_eq!(hint(Class::NeedsLogin, None, &own), Some(login_hint("lab")));
        assert!(hint(Class::NeedsLogin, None, &program).unwrap().contains("may open the mailbox a@x.test"));
        let words = hint(Class::NeedsLogin, None, &shared).unwrap();
        assert!(words.starts_with("check that a@x.test has full access to team@x.test"), "{words}");
        assert!(hint(Class::NeedsLogin, None, &password).unwrap().contains("password of account lab"));
        assert_eq!(hint(Class::NeedsLogin, Some("SMTP AUTH is off"), &own).unwrap(), "SMTP AUTH is off");
        assert_eq!(hint(Class::RETRY, None, &own), None);
    }
}
