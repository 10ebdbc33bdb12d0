//! Units after a script, with the clock stopped: restarts, replacement, and the two stages of a stop.

use super::*;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep};

/// What a unit of the tests does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Script {
    /// Runs until it is asked to stop.
    Serve(u8),
    /// Runs until it is asked to stop, and takes its time then.
    Linger(Duration),
    /// The same, with something that must not be cut off.
    Uncut(Duration),
    Panic,
    Fail(Class),
    /// Fails after a good run.
    FailLate,
    /// Does not listen.
    Stuck,
}

const PANIC_TEXT: &str = "scripted";

struct Rig {
    supervisor: Supervisor<Script>,
    events: mpsc::UnboundedReceiver<(String, Event)>,
    /// How many runs are under way.
    alive: Arc<AtomicUsize>,
}

/// Counts a run for as long as it lasts, aborted or not.
struct Alive(Arc<AtomicUsize>);

impl Alive {
    fn new(count: &Arc<AtomicUsize>) -> Alive {
        count.fetch_add(1, Ordering::SeqCst);
        Alive(Arc::clone(count))
    }
}

impl Drop for Alive {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

async fn play(script: Script, Bounds { stop, uncut }: Bounds, _alive: Alive) -> Result<(), Failure> {
    match script {
        Script::Serve(_) => stop.cancelled().await,
        Script::Linger(time) => {
            stop.cancelled().await;
            sleep(time).await;
        }
        Script::Uncut(time) => {
            let _uncut = uncut.token();
            stop.cancelled().await;
            sleep(time).await;
        }
        Script::Panic => panic!("{PANIC_TEXT}"),
        Script::Fail(class) => return Err(Failure { class, text: "failed".into(), hint: None }),
        Script::FailLate => {
            sleep(Duration::from_secs(61)).await;
            return Err(Failure { class: Class::RETRY, text: "late".into(), hint: None });
        }
        Script::Stuck => std::future::pending().await,
    }
    Ok(())
}

fn units(list: &[(&str, Script)]) -> BTreeMap<String, Script> {
    list.iter().map(|&(name, script)| (name.to_owned(), script)).collect()
}

impl Rig {
    fn start(list: &[(&str, Script)]) -> Rig {
        let alive = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&alive);
        let run = move |_: &str, script, bounds| -> BoxFuture<'static, Result<(), Failure>> {
            Box::pin(play(script, bounds, Alive::new(&count)))
        };
        let (sender, events) = mpsc::unbounded_channel();
        let listener = move |name: &str, event| {
            let _test_over = sender.send((name.to_owned(), event));
        };
        let mut supervisor = Supervisor::new(Law::WORKER, Arc::new(run), Arc::new(listener));
        supervisor.apply(&units(list), &BTreeSet::new());
        Rig { supervisor, events, alive }
    }

    fn apply(&mut self, list: &[(&str, Script)]) {
        self.supervisor.apply(&units(list), &BTreeSet::new());
    }

    fn alive(&self) -> usize {
        self.alive.load(Ordering::SeqCst)
    }

    /// The next event, of whichever unit.
    async fn event(&mut self) -> (String, Event) {
        self.events.recv().await.unwrap()
    }

    /// The next event, which must be of this unit.
    async fn event_of(&mut self, name: &str) -> Event {
        let (of, event) = self.event().await;
        assert_eq!(of, name, "{event:?}");
        event
    }

    async fn started(&mut self, name: &str) {
        assert_eq!(self.event_of(name).await, Event::Started);
    }

    /// Nothing may happen in that time.
    async fn quiet_for(&mut self, time: Duration) {
        sleep(time).await;
        assert!(self.events.try_recv().is_err());
    }
}

const HOUR: Duration = Duration::from_secs(3600);

#[tokio::test(start_paused = true)]
async fn a_panic_restarts_its_unit_and_touches_no_other() {
    let mut rig = Rig::start(&[("bad", Script::Panic), ("good", Script::Serve(0))]);
    let mut panics = 0;
    let mut starts_of_good = 0;
    while panics < 5 {
        match rig.event().await {
            (_, Event::Ended(End::Panicked(text), Some(_))) if text == PANIC_TEXT => panics += 1,
            (name, Event::Started) if name == "good" => starts_of_good += 1,
            (name, Event::Started) if name == "bad" => {}
            other => panic!("unexpected: {other:?}"),
        }
    }
    assert_eq!(starts_of_good, 1);
}

#[tokio::test(start_paused = true)]
async fn pauses_between_attempts_grow_until_a_run_was_good() {
    let mut rig = Rig::start(&[("flaky", Script::Fail(Class::RETRY))]);
    let mut pause = Duration::ZERO;
    for attempt in 0..4 {
        let ended = Instant::now();
        rig.started("flaky").await;
        assert!(ended.elapsed() >= pause, "started again before the pause was over");
        let Event::Ended(End::Failed(_), Some(next)) = rig.event_of("flaky").await else { panic!() };
        let whole = Duration::from_secs(1 << attempt);
        assert!(next >= whole / 2 && next <= whole, "{attempt}: {next:?}");
        pause = next;
    }

    let mut rig = Rig::start(&[("late", Script::FailLate)]);
    for _ in 0..4 {
        rig.started("late").await;
        let Event::Ended(End::Failed(_), Some(pause)) = rig.event_of("late").await else { panic!() };
        assert!(pause <= Duration::from_secs(1), "{pause:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn giving_up_stays_down_until_replaced_or_revived() {
    let down = Script::Fail(Class::GiveUp);
    let mut rig = Rig::start(&[("unit", down)]);
    rig.started("unit").await;
    assert!(matches!(rig.event_of("unit").await, Event::Ended(End::Failed(_), None)));
    rig.quiet_for(HOUR).await;
    rig.apply(&[("unit", down)]);
    rig.quiet_for(HOUR).await;

    assert!(rig.supervisor.revive("unit"));
    assert!(!rig.supervisor.revive("unit"), "it is on its way already");
    rig.started("unit").await;
    assert!(matches!(rig.event_of("unit").await, Event::Ended(End::Failed(_), None)));

    rig.apply(&[("unit", Script::Serve(0))]);
    assert_eq!(rig.event_of("unit").await, Event::Stopped);
    rig.started("unit").await;
    assert!(!rig.supervisor.revive("unit") && !rig.supervisor.revive("nobody"));
}

#[tokio::test(start_paused = true)]
async fn what_is_wanted_anew_begins_anew_whatever_state_it_is_in() {
    let list = [("down", Script::Fail(Class::GiveUp)), ("a", Script::Serve(0)), ("b", Script::Serve(0))];
    let mut rig = Rig::start(&list);
    for _ in 0..4 {
        rig.event().await;
    }
    rig.supervisor.apply(&units(&list), &["down", "a"].map(str::to_owned).into());
    let mut begun = Vec::new();
    while begun.len() < 2 {
        if let (name, Event::Started) = rig.event().await {
            begun.push(name);
        }
    }
    begun.sort();
    assert_eq!(begun, ["a", "down"]);
}

#[tokio::test(start_paused = true)]
async fn only_the_changed_unit_is_replaced() {
    let mut rig = Rig::start(&[("a", Script::Serve(1)), ("b", Script::Serve(1)), ("c", Script::Serve(1))]);
    for _ in 0..3 {
        assert_eq!(rig.event().await.1, Event::Started);
    }
    rig.apply(&[("a", Script::Serve(1)), ("b", Script::Serve(2))]);
    let mut seen = [rig.event().await, rig.event().await];
    seen.sort_by(|(one, _), (other, _)| one.cmp(other));
    assert_eq!(seen, [("b".into(), Event::Stopped), ("c".into(), Event::Stopped)]);
    rig.started("b").await;
    rig.quiet_for(HOUR).await;
    assert_eq!(rig.alive(), 2);
}

#[tokio::test(start_paused = true)]
async fn nothing_starts_before_what_left_is_gone() {
    let slow = Script::Linger(Duration::from_secs(3));
    let mut rig = Rig::start(&[("old", slow)]);
    rig.started("old").await;
    let begin = Instant::now();
    rig.apply(&[("new", Script::Serve(1))]);
    rig.apply(&[("newer", Script::Serve(1))]);
    assert_eq!(rig.event_of("old").await, Event::Stopped);
    assert_eq!(begin.elapsed(), Duration::from_secs(3));
    rig.started("newer").await;
    assert_eq!(rig.alive(), 1, "one that was replaced before its turn never ran");
}

#[tokio::test(start_paused = true)]
async fn a_unit_that_does_not_listen_is_aborted_at_the_limit() {
    let mut rig = Rig::start(&[("deaf", Script::Stuck), ("good", Script::Serve(0))]);
    assert_eq!((rig.event().await.1, rig.event().await.1), (Event::Started, Event::Started));
    let begin = Instant::now();
    let alive = Arc::clone(&rig.alive);
    rig.supervisor.stop().await;
    assert_eq!(begin.elapsed(), Duration::from_millis(3500));
    assert_eq!(alive.load(Ordering::SeqCst), 0);
}

#[tokio::test(start_paused = true)]
async fn what_must_not_be_cut_off_is_waited_for_and_not_for_ever() {
    for (time, waited) in [(20_000, 20_000), (3_600_000, 28_500)] {
        let mut rig = Rig::start(&[("unit", Script::Uncut(Duration::from_millis(time)))]);
        rig.started("unit").await;
        let begin = Instant::now();
        rig.supervisor.stop().await;
        assert_eq!(begin.elapsed(), Duration::from_millis(waited));
    }
    let mut rig = Rig::start(&[("unit", Script::Uncut(Duration::from_secs(20)))]);
    rig.started("unit").await;
    let begin = Instant::now();
    rig.apply(&[]);
    rig.supervisor.stop().await;
    assert_eq!(begin.elapsed(), Duration::from_secs(20), "also for one that left before");
}

#[tokio::test(start_paused = true)]
async fn a_stop_waits_no_longer_than_it_must_and_ends_pauses() {
    let mut rig = Rig::start(&[
        ("slow", Script::Linger(Duration::from_secs(1))),
        ("down", Script::Fail(Class::Denied)),
        ("waiting", Script::Fail(Class::Retry { after: Some(HOUR) })),
    ]);
    for _ in 0..5 {
        assert_ne!(rig.event().await.1, Event::Stopped);
    }
    let begin = Instant::now();
    rig.supervisor.stop().await;
    assert_eq!(begin.elapsed(), Duration::from_secs(1));
}

#[tokio::test(start_paused = true)]
async fn a_dropped_supervisor_leaves_nothing_running() {
    let mut rig = Rig::start(&[("unit", Script::Serve(0))]);
    rig.started("unit").await;
    drop(rig.supervisor);
    while rig.alive.load(Ordering::SeqCst) > 0 {
        tokio::task::yield_now().await;
    }
}
