//! A server that plays a transcript, for the drivers' tests: `S:` lines are sent, `C:` lines are expected, `D:` lines are
//! sent an octet in 50 s, `X:` sends raw bytes with `\r`, `\n` written so, `W:` is a pause of so many seconds; then the
//! connection ends. Whoever pauses stops the clock of the test.

use super::Stream;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, DuplexStream, duplex};
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

/// The server's end; its outcome tells whether the client said what was expected.
pub(crate) struct Server(JoinHandle<()>);

impl Server {
    /// Plays a transcript.
    pub(crate) fn play(transcript: String) -> (Stream, Server) {
        let (client, server) = duplex(1 << 20);
        (Box::new(client), Server(tokio::spawn(speak(server, transcript))))
    }

    /// The whole transcript was played as written.
    pub(crate) async fn finished(self) {
        timeout(Duration::from_secs(20), self.0).await.expect("the script to end").unwrap();
    }
}

async fn speak(stream: DuplexStream, transcript: String) {
    let mut stream = BufReader::new(stream);
    for line in transcript.lines().map(str::trim_start).filter(|line| !line.is_empty()) {
        let (kind, said) = line.split_at(2);
        let said = said.strip_prefix(' ').unwrap_or(said);
        match kind {
            "S:" => stream.write_all(format!("{said}\r\n").as_bytes()).await.unwrap(),
            "X:" => {
                let raw = said.replace("\\r", "\r").replace("\\n", "\n");
                stream.write_all(raw.as_bytes()).await.unwrap();
            }
            "D:" => drip(&mut stream, said).await,
            "W:" => sleep(Duration::from_secs(said.parse().unwrap())).await,
            "C:" => {
                let mut heard = String::new();
                stream.read_line(&mut heard).await.unwrap();
                assert_eq!(heard.trim_end_matches(['\r', '\n']), said);
            }
            other => panic!("{other}"),
        }
    }
}

/// Says a line, an octet in 50 s, until the client hangs up.
async fn drip(stream: &mut BufReader<DuplexStream>, said: &str) {
    for octet in format!("{said}\r\n").bytes() {
        sleep(Duration::from_secs(50)).await;
        if stream.write_all(&[octet]).await.is_err() {
            return;
        }
    }
}
