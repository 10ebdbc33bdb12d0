//! Texts that cannot be read as they were accepted.

use super::scripted::{ALL, MAIL, envelope, session};
use super::{Stage, Verdict};
use std::pin::Pin;
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncReadExt};

/// A disk that fails amid a file.
struct BadBlock;

impl AsyncRead for BadBlock {
    fn poll_read(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        _: &mut tokio::io::ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        Poll::Ready(Err(std::io::Error::other("bad block")))
    }
}

#[tokio::test]
async fn a_text_that_is_not_whole_waits_and_never_gets_its_end() {
    let text = b"S: x\r\n\r\n.a\r\n";
    let cut = || AsyncReadExt::chain(&text[..7], &b""[..]);
    for (why, message) in [
        ("7 bytes instead of 12", Box::new(cut()) as Box<dyn AsyncRead + Unpin + Send>),
        ("bad block", Box::new(AsyncReadExt::chain(&text[..7], BadBlock))),
        ("24 bytes", Box::new(AsyncReadExt::chain(&text[..], &text[..]))),
    ] {
        let script = format!("{MAIL}C: RCPT TO:<b@x>\nS: 250 ok\nC: DATA\nS: 354 go\nhang");
        let (mut session, server) = session(ALL, &script, 4096).await;
        let hook = async { panic!("the end is not sent") };
        let verdict = session.send(&envelope(&["b@x"]), message, hook).await.unwrap();
        let Verdict::Temporary { stage: Stage::Body, cause, .. } = verdict else { panic!("{verdict:?}") };
        assert!(cause.to_string().contains(why), "{cause}");
        assert!(!session.is_usable(), "the server waits for the rest");
        drop(session);
        assert!(!server.await.unwrap().contains("\r\n.\r\n"));
    }
}
