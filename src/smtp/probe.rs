//! Whether a sender may submit, without submitting anything: MAIL and RSET (RFC 5321 §4.1.1.2, §4.1.1.5).
//!
//! Exchange lets some logins pass AUTH and refuses them only here. No recipient is named and no text follows, so nothing
//! can be sent by it. What a refusal means is the caller's business.

use super::error::{Error, Stage};
use super::session::Session;
use super::transaction::is_safe;

impl Session {
    /// Begins a transaction as `sender` and takes it back. A refusal of the sender is [`Error::Refused`] at
    /// [`Stage::Mail`]; an address that cannot stand in a command is [`Error::BadSender`].
    pub async fn try_sender(&mut self, sender: &str) -> Result<(), Error> {
        if !is_safe(sender) || (!sender.is_ascii() && !self.offers.smtputf8) {
            return Err(Error::BadSender);
        }
        self.claim()?;
        let parameter = if sender.is_ascii() { "" } else { " SMTPUTF8" };
        let stage = Stage::Mail;
        let answer = self.wire.command(stage, &format!("MAIL FROM:<{sender}>{parameter}")).await?;
        let reset = self.wire.command(Stage::Reset, "RSET").await;
        self.usable = reset.is_ok_and(|reply| reply.is_success());
        match answer.code() {
            200..=299 => Ok(()),
            400.. => Err(Error::Refused { stage, reply: answer }),
            _ => Err(Error::Unexpected { stage, reply: answer }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::scripted::session;
    use super::*;

    #[tokio::test]
    async fn the_transaction_is_taken_back() {
        let script = "C: MAIL FROM:<a@x>\nS: 250 ok\nC: RSET\nS: 250 ok\nhang";
        let (mut session, server) = session("SIZE", script, 4096).await;
        session.try_sender("a@x").await.unwrap();
        assert!(session.is_usable());
        drop(session);
        server.await.unwrap();
    }

    #[tokio::test]
    async fn a_refused_sender_is_told_in_the_servers_words() {
        let words = "530 5.7.57 Client not authenticated to send mail";
        let script = format!("C: MAIL FROM:<a@x>\nS: {words}\nC: RSET\nS: 250 ok\nhang");
        let (mut session, _server) = session("SIZE", &script, 4096).await;
        let error = session.try_sender("a@x").await.unwrap_err();
        assert!(matches!(&error, Error::Refused { stage: Stage::Mail, .. }), "{error}");
        assert!(error.to_string().contains("5.7.57"), "{error}");
    }

    #[tokio::test]
    async fn an_address_that_would_leave_its_brackets_is_not_said() {
        let (mut session, _server) = session("SIZE", "hang", 4096).await;
        for address in ["a@x>\r\nDATA", "b@y> <c@z", "\u{fc}@x"] {
            assert!(matches!(session.try_sender(address).await, Err(Error::BadSender)), "{address}");
        }
        assert!(session.is_usable());
    }
}
