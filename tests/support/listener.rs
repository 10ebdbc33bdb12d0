//! A loopback listener with one thread per connection, ended with its value.
//!
//! The scripted servers are built on it. Plain threads and blocking reads keep their code a straight story; none of
//! them serves more than a few hundred connections.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

/// A listening port of 127.0.0.1.
pub struct Listening {
    port: u16,
    stop: Arc<AtomicBool>,
    open: Connections,
    thread: Option<JoinHandle<()>>,
}

/// Open connections, kept so that they can be cut.
#[derive(Clone, Default)]
pub struct Connections(Arc<Mutex<BTreeMap<u64, TcpStream>>>);

impl Connections {
    /// Runs `serve` with a connection that can be cut meanwhile, and ends the connection after it.
    pub fn during<T>(&self, stream: &TcpStream, serve: impl FnOnce() -> T) -> Option<T> {
        let key = fastrand::u64(..);
        self.0.lock().unwrap().insert(key, stream.try_clone().ok()?);
        let outcome = serve();
        // The copy kept here would hold the connection open.
        let copy = self.0.lock().unwrap().remove(&key);
        copy.map(|copy| copy.shutdown(Shutdown::Both));
        Some(outcome)
    }

    /// Cuts every connection at once.
    pub fn cut(&self) {
        let open = std::mem::take(&mut *self.0.lock().unwrap());
        open.into_values().for_each(|stream| drop(stream.shutdown(Shutdown::Both)));
    }
}

impl Listening {
    /// Listens on a free port; each connection runs `serve` in its own thread.
    pub fn start(serve: impl Fn(TcpStream) + Send + Sync + 'static) -> Listening {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free loopback port");
        let port = listener.local_addr().expect("local address").port();
        let (stop, open) = (Arc::new(AtomicBool::new(false)), Connections::default());
        let (ending, accepted, serve) = (stop.clone(), open.clone(), Arc::new(serve));
        let thread = std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                if ending.load(Ordering::SeqCst) {
                    return;
                }
                let _ = stream.set_nodelay(true);
                let (serve, accepted) = (serve.clone(), accepted.clone());
                std::thread::spawn(move || {
                    let Ok(copy) = stream.try_clone() else { return };
                    accepted.during(&copy, || serve(stream));
                });
            }
        });
        Listening { port, stop, open, thread: Some(thread) }
    }

    /// The port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Cuts every connection at once; new ones are accepted as before.
    pub fn cut(&self) {
        self.open.cut();
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        // Wakes the accept call; refused only where the thread has already gone.
        let _ = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port));
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
        self.cut();
    }
}
