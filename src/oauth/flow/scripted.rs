//! A token endpoint for tests: answers in order, and keeps what it was sent.

use crate::oauth::keeper::KeeperConfig;
use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use url::Url;

/// The server; ends with the test's runtime.
pub(crate) struct Script {
    pub(crate) url: Url,
    forms: Arc<Mutex<Vec<String>>>,
}

impl Script {
    /// Answers with these, status and body; then closes every connection.
    pub(crate) async fn start(answers: impl IntoIterator<Item = (u16, &'static str)>) -> Script {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/token", listener.local_addr().unwrap()).parse().unwrap();
        let mut answers: VecDeque<_> = answers.into_iter().collect();
        let forms: Arc<Mutex<Vec<String>>> = Arc::default();
        let kept = forms.clone();
        tokio::spawn(async move {
            while let Ok((mut peer, _)) = listener.accept().await {
                let form = read(&mut peer).await;
                kept.lock().unwrap().push(form);
                let Some((status, body)) = answers.pop_front() else { continue };
                let head = format!(
                    "HTTP/1.1 {status} X\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
                    body.len()
                );
                peer.write_all(format!("{head}{body}").as_bytes()).await.unwrap();
            }
        });
        Script { url, forms }
    }

    /// How many requests came.
    pub(crate) fn count(&self) -> usize {
        self.forms.lock().unwrap().len()
    }

    /// What a request was sent with.
    pub(crate) fn form(&self, index: usize) -> HashMap<String, String> {
        let form = self.forms.lock().unwrap()[index].clone();
        url::form_urlencoded::parse(form.as_bytes()).into_owned().collect()
    }
}

/// A client of that endpoint.
pub(crate) fn config(token_url: &Url) -> KeeperConfig {
    KeeperConfig {
        account: "lab".into(),
        client_id: "app".into(),
        client_secret: None,
        token_url: token_url.clone(),
        scopes: vec!["mail".into(), "offline_access".into()],
        store: "/nowhere/token.json".into(),
        is_sealed: false,
        app: None,
    }
}

async fn read(peer: &mut TcpStream) -> String {
    let mut bytes = Vec::new();
    loop {
        let mut chunk = [0; 4096];
        let count = peer.read(&mut chunk).await.unwrap();
        bytes.extend_from_slice(&chunk[..count]);
        let text = String::from_utf8_lossy(&bytes);
        let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
        let head = head.to_ascii_lowercase();
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap();
        if body.len() >= length.parse().unwrap() {
            return body.to_owned();
        }
    }
}
