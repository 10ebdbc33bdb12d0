//! The server over real sockets: order, bounds, deadlines with the clock stopped, and who is refused.

use super::super::client;
use super::*;
use crate::status::Summary;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use tokio::io::{AsyncBufReadExt, AsyncReadExt};
use tokio::task::JoinHandle;

/// Longest wait for something that must happen at once.
const SOON: Duration = Duration::from_secs(10);

/// Status: refused. Reload: two plans. Sync: one plan, and no end. Token: panics.
struct Scripted;

impl Handler for Scripted {
    fn handle(&self, request: Request, replies: Replies) -> BoxFuture<'_, Result<(), Refusal>> {
        Box::pin(async move {
            match request {
                Request::Reload => {
                    for text in ["one", "two"] {
                        replies.send(plan(text)).await;
                    }
                    Ok(())
                }
                Request::Sync { .. } => {
                    replies.send(plan("begun")).await;
                    std::future::pending().await
                }
                Request::TokenChanged { .. } => panic!("scripted"),
                _ => Err(Refusal::new(Code::NeedsLogin, "log in first").with_hint("posthaste login lab")),
            }
        })
    }
}

fn plan(text: &str) -> Response {
    Response::Plan { account: "lab".into(), text: text.into(), summary: Summary::default() }
}

fn endless() -> Request {
    Request::Sync { accounts: vec![], mailbox: None, dry_run: false }
}

struct Rig {
    directory: tempfile::TempDir,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl Rig {
    async fn start() -> Rig {
        Rig::start_for(rustix::process::geteuid().as_raw()).await
    }

    async fn start_for(owner: u32) -> Rig {
        let directory = tempfile::tempdir().unwrap();
        let mut server = Server::bind(&directory.path().join("run/control.sock")).await.unwrap();
        server.owner = owner;
        let stop = CancellationToken::new();
        let task = tokio::spawn(server.run(Arc::new(Scripted), stop.clone()));
        Rig { directory, stop, task }
    }

    fn path(&self) -> PathBuf {
        self.directory.path().join("run/control.sock")
    }

    async fn ask(&self, request: &Request) -> Result<Vec<Response>, client::Error> {
        let mut responses = client::request(&self.path(), request).await?;
        let mut all = Vec::new();
        while let Some(response) = timeout(SOON, responses.next()).await.unwrap()? {
            all.push(response);
        }
        Ok(all)
    }

    /// What the server says to raw bytes, up to its hanging up.
    async fn ask_raw(&self, bytes: &[u8]) -> String {
        let mut stream = UnixStream::connect(self.path()).await.unwrap();
        let _refused_early = stream.write_all(bytes).await;
        let mut said = Vec::new();
        let _reset = timeout(SOON, stream.read_to_end(&mut said)).await.unwrap();
        String::from_utf8(said).unwrap()
    }
}

#[tokio::test]
async fn answers_come_in_order_and_end() {
    let rig = Rig::start().await;
    assert_eq!(rig.ask(&Request::Reload).await.unwrap(), [plan("one"), plan("two")]);
}

#[tokio::test]
async fn a_refusal_keeps_its_code_and_hint() {
    let rig = Rig::start().await;
    let Err(client::Error::Refused(refusal)) = rig.ask(&Request::Status).await else { panic!("not refused") };
    assert_eq!((refusal.code, refusal.hint.as_deref()), (Code::NeedsLogin, Some("posthaste login lab")));
}

#[tokio::test]
async fn an_oversize_request_is_refused_without_being_read() {
    let rig = Rig::start().await;
    let said = rig.ask_raw(&vec![b' '; LARGEST as usize + 1]).await;
    assert!(said.contains("bad-request") && said.contains("too long"), "{said}");
}

#[tokio::test]
async fn nonsense_and_another_version_are_refused() {
    let rig = Rig::start().await;
    assert!(rig.ask_raw(b"hello\n").await.contains("bad-request"));
    assert!(rig.ask_raw(b"{\"version\":9,\"request\":\"status\"}\n").await.contains("\"version\""));
    assert_eq!(rig.ask_raw_half_line().await, "", "a torn request has no answer");
}

impl Rig {
    async fn ask_raw_half_line(&self) -> String {
        let mut stream = UnixStream::connect(self.path()).await.unwrap();
        stream.write_all(b"{\"version\":1").await.unwrap();
        stream.shutdown().await.unwrap();
        let mut said = String::new();
        timeout(SOON, stream.read_to_string(&mut said)).await.unwrap().unwrap();
        said
    }
}

#[tokio::test]
async fn slow_and_panicking_requests_disturb_nobody() {
    let rig = Rig::start().await;
    let mut silent = UnixStream::connect(rig.path()).await.unwrap();
    silent.write_all(b"{").await.unwrap();
    let _endless = client::request(&rig.path(), &endless()).await.unwrap();
    let panicking = Request::TokenChanged { account: "lab".into() };
    assert!(matches!(rig.ask(&panicking).await, Err(client::Error::Lost(_))));
    assert_eq!(rig.ask(&Request::Reload).await.unwrap().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_request_that_never_comes_is_given_up() {
    let (rig, begin) = (Rig::start().await, Instant::now());
    let mut stream = UnixStream::connect(rig.path()).await.unwrap();
    let mut said = String::new();
    stream.read_to_string(&mut said).await.unwrap();
    assert!(said.contains("did not arrive in time"), "{said}");
    assert!(begin.elapsed() >= REQUEST);
}

#[tokio::test(start_paused = true)]
async fn a_handler_at_work_shows_that_it_lives() {
    let rig = Rig::start().await;
    let mut stream = UnixStream::connect(rig.path()).await.unwrap();
    stream.write_all(endless().to_line().unwrap().as_bytes()).await.unwrap();
    let mut lines = BufReader::new(stream).lines();
    assert!(lines.next_line().await.unwrap().unwrap().contains("begun"));
    assert_eq!(lines.next_line().await.unwrap().as_deref(), Some(""));
}

#[tokio::test(start_paused = true)]
async fn a_client_that_does_not_read_loses_its_connection() {
    let (mut near, _far) = tokio::io::duplex(8);
    let error = put(&mut near, &[b'x'; 64]).await.unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::TimedOut);
}

#[tokio::test]
async fn another_user_is_refused_unheard() {
    let rig = Rig::start_for(rustix::process::geteuid().as_raw() + 1).await;
    let said = rig.ask_raw(b"").await;
    assert!(said.contains("denied") && said.contains("another user"), "{said}");
}

#[tokio::test]
async fn one_connection_too_many_is_told_to_come_back() {
    let rig = Rig::start().await;
    let mut open = Vec::new();
    for _ in 0..CONNECTIONS {
        open.push(client::request(&rig.path(), &endless()).await.unwrap());
    }
    let Err(client::Error::Refused(refusal)) = rig.ask(&Request::Reload).await else { panic!("not refused") };
    assert_eq!(refusal.code, Code::Retry);
}

#[tokio::test]
async fn the_socket_is_private_and_goes_with_the_server() {
    let rig = Rig::start().await;
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&rig.path()), 0o600);
    assert_eq!(mode(rig.path().parent().unwrap()), 0o700);
    let mut waiting = client::request(&rig.path(), &endless()).await.unwrap();
    assert_eq!(waiting.next().await.unwrap(), Some(plan("begun")));
    rig.stop.cancel();
    let Err(client::Error::Refused(refusal)) = waiting.next().await else { panic!("not told") };
    assert!(refusal.message.contains("stopping"), "{refusal}");
    rig.task.await.unwrap();
    assert!(!rig.directory.path().join("run/control.sock").exists());
}

#[tokio::test]
async fn an_absent_daemon_is_its_own_error() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("control.sock");
    assert!(matches!(client::request(&path, &Request::Status).await, Err(client::Error::Absent)));
    drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
    assert!(path.exists(), "the socket of a dead daemon stays behind");
    assert!(matches!(client::request(&path, &Request::Status).await, Err(client::Error::Absent)));
}

#[tokio::test]
async fn a_stale_socket_is_replaced_and_a_live_one_is_not() {
    let rig = Rig::start().await;
    let inode = fs::metadata(rig.path()).unwrap().ino();
    let refused = Server::bind(&rig.path()).await.unwrap_err();
    assert!(matches!(refused, Error::Busy(_)), "{refused}");
    assert_eq!(fs::metadata(rig.path()).unwrap().ino(), inode, "the live one is untouched");

    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("control.sock");
    drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
    let server = Server::bind(&path).await.unwrap();
    assert_eq!(server.path(), path);
}

#[tokio::test]
async fn a_file_that_is_no_socket_is_left_alone() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("control.sock");
    fs::write(&path, "precious").unwrap();
    assert!(matches!(Server::bind(&path).await, Err(Error::InTheWay(_))));
    assert_eq!(fs::read_to_string(&path).unwrap(), "precious");
}

#[tokio::test]
async fn a_directory_of_somebody_else_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    std::os::unix::fs::symlink(directory.path(), directory.path().join("link")).unwrap();
    let path = directory.path().join("link/control.sock");
    assert!(matches!(Server::bind(&path).await, Err(Error::Directory(_))));
}
