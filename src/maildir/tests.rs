//! The Maildir driver on real directories: what the traits promise, crashes between the steps, hostile names and
//! trees. The functions generic over [`Local`] are the contract that any local side keeps.

use super::*;
use crate::error::Class;
use crate::mail::{Flags, Identity, Uid};
use crate::sync::{Fetched, Likeness, Scope};
use bytes::Bytes;
use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::time::UNIX_EPOCH;
use tempfile::TempDir;

const DAY: Duration = Duration::from_secs(24 * 3600);

fn inbox() -> MailboxName {
    MailboxName::inbox()
}

fn open(layout: Layout) -> (TempDir, Maildir) {
    let home = tempfile::tempdir().unwrap();
    let maildir = Maildir::open(home.path().join("mail"), layout, LineEndings::Lf).unwrap();
    (home, maildir)
}

/// An opened tree with an INBOX.
async fn with_inbox() -> (TempDir, Maildir, PathBuf) {
    let (home, mut maildir) = open(Layout::Nested);
    maildir.create(&inbox()).await.unwrap();
    let path = maildir.directory(&inbox()).unwrap();
    (home, maildir, path)
}

fn arrivals(uid: u32, flags: Flags, pieces: &[&[u8]], date: Option<SystemTime>) -> Vec<Arrival> {
    let size = pieces.iter().map(|piece| piece.len() as u64).sum();
    let chunks = pieces.iter().map(|piece| Arrival::Chunk(Bytes::copy_from_slice(piece)));
    let end = Arrival::End(Fetched { uid: Uid::new(uid).unwrap(), flags, internal_date: date });
    [Arrival::Start { size: Some(size) }].into_iter().chain(chunks).chain([end]).collect()
}

/// Stages everything and leaves the stream closed.
async fn stage_all(local: &mut impl Local, arrivals: Vec<Arrival>) -> Vec<Staged> {
    let (source, mut from) = mpsc::channel(arrivals.len().max(1));
    arrivals.into_iter().for_each(|arrival| source.try_send(arrival).unwrap());
    drop(source);
    let mut staged = Vec::new();
    loop {
        let batch = local.stage(&inbox(), &mut from).await.unwrap();
        if batch.is_empty() {
            return staged;
        }
        staged.extend(batch);
    }
}

async fn deliver(local: &mut impl Local, uid: u32, flags: Flags, body: &[u8]) -> UniqueName {
    let staged = stage_all(local, arrivals(uid, flags, &[body], Some(UNIX_EPOCH))).await;
    assert_eq!(local.publish(&inbox(), &staged).await.unwrap(), []);
    staged[0].name.clone()
}

async fn files(local: &mut impl Local) -> BTreeMap<UniqueName, Flags> {
    local.scan(&inbox()).await.unwrap().unwrap().files
}

fn names(directory: &Path) -> Vec<String> {
    let mut names: Vec<_> = fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

/// Everything below a directory but what is below `except`.
fn tree(directory: &Path, except: &Path) -> Vec<PathBuf> {
    let mut all = Vec::new();
    for entry in fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()) {
        if entry == except {
            continue;
        }
        if entry.is_dir() && !entry.is_symlink() {
            all.extend(tree(&entry, except));
        }
        all.push(entry);
    }
    all
}

// The contract of a local side.

async fn messages_arrive_change_and_leave(local: &mut impl Local) {
    assert!(local.scan(&inbox()).await.unwrap().is_none());
    let directory = local.create(&inbox()).await.unwrap();
    assert_eq!(local.create(&inbox()).await.unwrap(), directory, "creating again is no change");
    assert_eq!(local.list().await.unwrap(), [inbox()]);

    let plain = deliver(local, 1, Flags::NONE, b"Message-ID: <1@x>\r\n\r\none\r\n").await;
    let seen = deliver(local, 2, Flags::SEEN, b"Subject: 2\r\n\r\ntwo").await;
    let view = local.scan(&inbox()).await.unwrap().unwrap();
    assert_eq!((view.directory, view.marked), (directory, true));
    assert_eq!(view.files, BTreeMap::from([(plain.clone(), Flags::NONE), (seen.clone(), Flags::SEEN)]));

    let likenesses = local.identify(&inbox(), &[plain.clone(), UniqueName::new("gone")]).await.unwrap();
    let identity = Identity::from_header(b"Message-ID: <1@x>\n\n");
    assert_eq!(likenesses.files, BTreeMap::from([(plain.clone(), (Likeness { identity, size: 26 }, 0))]));

    let reflag = |name: &UniqueName, add, remove| LocalChange::Reflag { name: name.clone(), add, remove };
    let gone = LocalChange::Quarantine { name: UniqueName::new("gone") };
    let changes =
        [reflag(&plain, Flags::FLAGGED, Flags::SEEN), gone, reflag(&seen, Flags::NONE, Flags::SEEN)];
    local.change(&inbox(), &changes).await.unwrap();
    assert_eq!(
        files(local).await,
        BTreeMap::from([(plain.clone(), Flags::FLAGGED), (seen.clone(), Flags::NONE)])
    );

    let outgoing = local.read(&inbox(), &plain).await.unwrap().unwrap();
    assert_eq!((outgoing.size, outgoing.flags), (26, Flags::FLAGGED));

    local.change(&inbox(), &[LocalChange::Quarantine { name: plain.clone() }]).await.unwrap();
    assert_eq!(files(local).await, BTreeMap::from([(seen, Flags::NONE)]));
    assert!(local.read(&inbox(), &plain).await.unwrap().is_none());
}

async fn a_message_without_end_never_appears(local: &mut impl Local) {
    local.create(&inbox()).await.unwrap();
    let mut cut = arrivals(1, Flags::NONE, &[b"lost"], None);
    cut.pop();
    let mut all = cut.clone();
    all.extend(arrivals(2, Flags::NONE, &[b"kept"], None));
    all.extend(cut);
    let staged = stage_all(local, all).await;
    assert_eq!(staged.iter().map(|message| message.uid.value()).collect::<Vec<_>>(), [2]);
}

async fn publishing_again_publishes_once(local: &mut impl Local) {
    local.create(&inbox()).await.unwrap();
    let mut staged = stage_all(local, arrivals(1, Flags::NONE, &[b"x"], None)).await;
    staged.extend(stage_all(local, arrivals(2, Flags::SEEN, &[b"y"], None)).await);
    assert_eq!(files(local).await, BTreeMap::new(), "staged is not published");
    assert_eq!(local.publish(&inbox(), &staged[..1]).await.unwrap(), []);
    let lost = Staged { name: UniqueName::new("lost"), ..staged[0].clone() };
    let again = [staged.clone(), vec![lost.clone()]].concat();
    assert_eq!(local.publish(&inbox(), &again).await.unwrap(), [lost.name]);
    assert_eq!(files(local).await.len(), 2);
}

#[tokio::test]
async fn the_contract_holds_in_both_layouts() {
    for layout in [Layout::Nested, Layout::MaildirPlusPlus] {
        messages_arrive_change_and_leave(&mut open(layout).1).await;
        a_message_without_end_never_appears(&mut open(layout).1).await;
        publishing_again_publishes_once(&mut open(layout).1).await;
    }
}

// Delivery.

#[tokio::test]
async fn bytes_dates_modes_and_places_are_as_promised() {
    let (_home, mut maildir, path) = with_inbox().await;
    let date = UNIX_EPOCH + 12_345 * DAY;
    let body = b"A: b\r\n\r\nl\r\r\nx\ry\r\n";
    let mut all = Vec::new();
    for cut in 0..=body.len() {
        let (one, other) = body.split_at(cut);
        all.extend(arrivals(1 + cut as u32, Flags::SEEN | Flags::ANSWERED, &[one, other], Some(date)));
    }
    let staged = stage_all(&mut maildir, all).await;
    maildir.publish(&inbox(), &staged).await.unwrap();
    assert_eq!(staged.len(), body.len() + 1);
    for message in &staged {
        let file = path.join(format!("cur/{}:2,RS", message.name));
        assert_eq!(fs::read(&file).unwrap(), b"A: b\n\nl\r\r\nx\ry\n");
        let metadata = fs::metadata(&file).unwrap();
        assert_eq!(metadata.modified().unwrap(), date);
        assert_eq!(metadata.mode() & 0o777, 0o600);
        assert_eq!(message.likeness.size, body.len() as u64);
    }
    assert_eq!(
        maildir.identify(&inbox(), &[staged[0].name.clone()]).await.unwrap().files[&staged[0].name].0,
        staged[0].likeness
    );
    assert!(names(&path.join("tmp")).is_empty());
}

#[tokio::test]
async fn empty_headerless_and_large_messages_are_kept_whole() {
    let (_home, mut maildir, path) = with_inbox().await;
    let large = b"0123456789abcde\r\n".repeat(40_000);
    for body in [&b""[..], b"\r\n", b"no header at all", &large] {
        let pieces: Vec<&[u8]> = body.chunks(1000).collect();
        let staged = stage_all(&mut maildir, arrivals(1, Flags::NONE, &pieces, None)).await;
        maildir.publish(&inbox(), &staged).await.unwrap();
        let on_disk = fs::read(path.join("new").join(staged[0].name.as_str())).unwrap();
        assert_eq!(on_disk, String::from_utf8(body.to_vec()).unwrap().replace("\r\n", "\n").into_bytes());
        assert_eq!(maildir.read(&inbox(), &staged[0].name).await.unwrap().unwrap().size, body.len() as u64);
    }
}

#[tokio::test]
async fn with_crlf_the_bytes_are_those_of_the_wire() {
    let home = tempfile::tempdir().unwrap();
    let mut maildir = Maildir::open(home.path().to_owned(), Layout::Nested, LineEndings::Crlf).unwrap();
    maildir.create(&inbox()).await.unwrap();
    let name = deliver(&mut maildir, 1, Flags::NONE, b"a\r\nb\n").await;
    assert_eq!(fs::read(home.path().join("INBOX/new").join(name.as_str())).unwrap(), b"a\r\nb\n");
}

#[tokio::test]
async fn a_message_of_the_wrong_length_is_dropped() {
    let (_home, mut maildir, path) = with_inbox().await;
    let mut short = arrivals(1, Flags::NONE, &[b"abc"], None);
    short[0] = Arrival::Start { size: Some(4) };
    assert_eq!(stage_all(&mut maildir, short).await, []);
    assert!(names(&path.join("tmp")).is_empty());
}

#[tokio::test]
async fn trouble_is_told_after_the_good_messages_and_leaves_nothing_behind() {
    let (_home, mut maildir, path) = with_inbox().await;
    let (source, mut from) = mpsc::channel(10);
    arrivals(1, Flags::NONE, &[b"good"], None)
        .into_iter()
        .for_each(|arrival| source.try_send(arrival).unwrap());
    let first = maildir.stage(&inbox(), &mut from).await.unwrap();
    assert_eq!(first.len(), 1, "an open stream with a pause ends the batch");
    fs::rename(path.join("tmp"), path.join("elsewhere")).unwrap();
    source.send(Arrival::Start { size: Some(1) }).await.unwrap();
    let trouble = maildir.stage(&inbox(), &mut from).await.unwrap_err();
    assert_eq!((trouble.scope, trouble.class), (Scope::Mailbox, Class::RETRY));
}

/// Needs root and mounts a tmpfs of 1 MiB; run by hand: `cargo test --lib a_full_disk -- --ignored`.
#[tokio::test]
#[ignore = "mounts a file system"]
async fn a_full_disk_keeps_what_fits_and_leaves_nothing_half_done() {
    let home = tempfile::tempdir().unwrap();
    let mount = ["-t", "tmpfs", "-o", "size=1m,mode=700", "tmpfs"];
    let mounted = std::process::Command::new("mount").args(mount).arg(home.path()).status().unwrap();
    assert!(mounted.success());
    let mut maildir = Maildir::open(home.path().to_owned(), Layout::Nested, LineEndings::Lf).unwrap();
    maildir.create(&inbox()).await.unwrap();
    let (source, mut from) = mpsc::channel(100);
    for uid in 1..=4 {
        for arrival in arrivals(uid, Flags::NONE, &[&[b'x'; 400_000]], None) {
            source.try_send(arrival).unwrap();
        }
    }
    let staged = maildir.stage(&inbox(), &mut from).await.unwrap();
    let trouble = maildir.stage(&inbox(), &mut from).await.unwrap_err();
    let left = names(&home.path().join("INBOX/tmp")).len();
    std::process::Command::new("umount").arg(home.path()).status().unwrap();
    assert_eq!((staged.len(), left, trouble.scope), (2, 2, Scope::Pass));
    assert!(trouble.hint.unwrap().contains("full"));
}

#[tokio::test]
async fn a_batch_large_enough_to_be_pushed_as_a_whole_is_complete() {
    let (_home, mut maildir, path) = with_inbox().await;
    let many = (1..=100).flat_map(|uid| arrivals(uid, Flags::NONE, &[b"text"], None)).collect();
    let staged = stage_all(&mut maildir, many).await;
    assert_eq!((staged.len(), names(&path.join("tmp")).len()), (100, 100));
    assert_eq!(maildir.publish(&inbox(), &staged).await.unwrap(), []);
    assert_eq!(names(&path.join("new")).len(), 100);
}

#[tokio::test]
async fn a_file_that_stands_in_the_way_is_never_replaced() {
    let (_home, mut maildir, path) = with_inbox().await;
    let staged = stage_all(&mut maildir, arrivals(1, Flags::SEEN, &[b"ours"], None)).await;
    let target = path.join(format!("cur/{}:2,S", staged[0].name));
    fs::write(&target, "theirs").unwrap();
    assert!(maildir.publish(&inbox(), &staged).await.is_err());
    assert_eq!(fs::read(&target).unwrap(), b"theirs");
    assert_eq!(names(&path.join("tmp")).len(), 1);
}

#[tokio::test]
async fn a_crash_between_any_two_steps_ends_published_once() {
    let (_home, mut maildir, path) = with_inbox().await;
    let staged = stage_all(&mut maildir, arrivals(1, Flags::NONE, &[b"x"], None)).await;
    let (tmp, new) =
        (path.join("tmp").join(staged[0].name.as_str()), path.join("new").join(staged[0].name.as_str()));
    // Between link and unlink, on file systems without a rename that never replaces.
    fs::hard_link(&tmp, &new).unwrap();
    let mut restarted = Maildir::open(maildir.root().to_owned(), Layout::Nested, LineEndings::Lf).unwrap();
    assert_eq!(restarted.publish(&inbox(), &staged).await.unwrap(), []);
    assert!(!tmp.exists() && new.exists());
    // A reader has already taken it on.
    fs::rename(&new, path.join(format!("cur/{}:2,S", staged[0].name))).unwrap();
    assert_eq!(maildir.publish(&inbox(), &staged).await.unwrap(), []);
    assert_eq!(files(&mut maildir).await, BTreeMap::from([(staged[0].name.clone(), Flags::SEEN)]));
}

#[tokio::test]
async fn unfinished_deliveries_are_swept_when_they_are_old_enough() {
    let (_home, mut maildir, path) = with_inbox().await;
    // Its mtime is ancient from the start; its age counts from now.
    stage_all(&mut maildir, arrivals(1, Flags::NONE, &[b"x"], Some(UNIX_EPOCH))).await;
    let now = SystemTime::now();
    for (days, swept) in [(0, 0), (365, 0), (0, 0), (1, 0), (2, 1)] {
        assert_eq!(maildir.clean_up(now + days * DAY, KEEP).await.unwrap(), swept, "{days}");
    }
    assert!(names(&path.join("tmp")).is_empty());
}

// Scanning what readers and others leave.

#[tokio::test]
async fn only_plain_files_with_readable_names_are_messages() {
    use std::os::unix::ffi::OsStrExt;
    let (home, mut maildir, path) = with_inbox().await;
    fs::write(home.path().join("secret"), "x").unwrap();
    fs::create_dir(path.join("cur/directory:2,S")).unwrap();
    symlink(home.path().join("secret"), path.join("cur/link:2,S")).unwrap();
    rustix::fs::mknodat(rustix::fs::CWD, path.join("new/fifo"), rustix::fs::FileType::Fifo, 0o600.into(), 0)
        .unwrap();
    fs::write(path.join("new/.hidden"), "x").unwrap();
    fs::write(path.join("new").join(std::ffi::OsStr::from_bytes(b"\xff\xfe")), "x").unwrap();
    fs::write(path.join("cur/plain"), "x").unwrap();
    let found = files(&mut maildir).await;
    assert_eq!(found, BTreeMap::from([(UniqueName::new("plain"), Flags::NONE)]));
    for planted in ["link", "fifo", "directory"] {
        assert!(maildir.read(&inbox(), &UniqueName::new(planted)).await.unwrap().is_none(), "{planted}");
    }
}

#[tokio::test]
async fn one_of_several_files_of_a_name_counts_always_the_same() {
    let (_home, mut maildir, path) = with_inbox().await;
    for file in ["new/a", "cur/a:2,F", "cur/a:2,", "cur/a:2,S"] {
        fs::write(path.join(file), "x").unwrap();
    }
    let expected = BTreeMap::from([(UniqueName::new("a"), Flags::SEEN)]);
    assert_eq!(files(&mut maildir).await, expected);
    let again = LocalChange::Reflag { name: UniqueName::new("a"), add: Flags::NONE, remove: Flags::SEEN };
    maildir.change(&inbox(), &[again]).await.unwrap();
    assert_eq!(names(&path.join("cur")).len(), 3, "a copy in the way is left alone");
}

#[tokio::test]
async fn a_reader_that_renames_meanwhile_loses_no_flag() {
    let (_home, mut maildir, path) = with_inbox().await;
    let name = deliver(&mut maildir, 1, Flags::NONE, b"x").await;
    files(&mut maildir).await;
    fs::rename(path.join("new").join(name.as_str()), path.join(format!("cur/{name}:2,FSab"))).unwrap();
    let change = LocalChange::Reflag { name: name.clone(), add: Flags::ANSWERED, remove: Flags::SEEN };
    maildir.change(&inbox(), &[change]).await.unwrap();
    assert_eq!(names(&path.join("cur")), [format!("{name}:2,FRab")]);
    // A change that asks for nothing new also looks at the file, not at the memory of it.
    fs::rename(path.join(format!("cur/{name}:2,FRab")), path.join(format!("cur/{name}:2,"))).unwrap();
    let change = LocalChange::Reflag { name: name.clone(), add: Flags::ANSWERED, remove: Flags::NONE };
    maildir.change(&inbox(), &[change]).await.unwrap();
    assert_eq!(files(&mut maildir).await, BTreeMap::from([(name, Flags::ANSWERED)]));
}

#[tokio::test]
async fn an_open_message_survives_what_readers_do_to_its_name() {
    use std::io::Read;
    let (_home, mut maildir, path) = with_inbox().await;
    let name = deliver(&mut maildir, 1, Flags::SEEN, b"a\r\nb").await;
    let mut outgoing = maildir.read(&inbox(), &name).await.unwrap().unwrap();
    fs::remove_file(path.join(format!("cur/{name}:2,S"))).unwrap();
    let mut body = String::new();
    outgoing.file.read_to_string(&mut body).unwrap();
    assert_eq!((body.as_str(), outgoing.size), ("a\nb", 4));
}

#[tokio::test]
async fn a_file_written_in_place_is_left_alone_until_it_was_not_touched_for_a_while() {
    let (_home, mut maildir, path) = with_inbox().await;
    let (written, delivered) = (UniqueName::new("written"), UniqueName::new("delivered"));
    fs::write(path.join("cur/written"), "Subject: x\n\nhalf of it").unwrap();
    fs::write(path.join("tmp/delivered"), "Subject: x\n\nall of it").unwrap();
    let date = fs::File::options().write(true).open(path.join("tmp/delivered")).unwrap();
    date.set_modified(SystemTime::now() - UNTOUCHED / 2).unwrap();
    fs::rename(path.join("tmp/delivered"), path.join("new/delivered")).unwrap();
    let both = [written.clone(), delivered.clone()];
    let seen = maildir.identify(&inbox(), &both).await.unwrap();
    assert!(seen.unfinished.len() == 1 && seen.files.contains_key(&delivered) && seen.files.len() == 1);
    let metadata = fs::metadata(path.join("cur/written")).unwrap();
    let age = |age| store::is_being_written(&metadata, metadata.modified().unwrap() + age);
    assert!(age(UNTOUCHED / 2) && !age(UNTOUCHED));
}

#[tokio::test]
async fn a_batch_that_is_given_up_leaves_no_file() {
    let (_home, mut maildir, path) = with_inbox().await;
    let staged = stage_all(&mut maildir, arrivals(1, Flags::NONE, &[b"x"], None)).await;
    let unstage = LocalChange::Unstage { name: staged[0].name.clone() };
    maildir.change(&inbox(), &[unstage]).await.unwrap();
    assert!(names(&path.join("tmp")).is_empty());
}

#[tokio::test]
async fn a_file_whose_name_cannot_say_the_flags_is_named() {
    let (_home, mut maildir, path) = with_inbox().await;
    let (long, short) = (UniqueName::new("n".repeat(253)), UniqueName::new("short"));
    for name in [&long, &short] {
        fs::write(path.join("new").join(name.as_str()), "x").unwrap();
    }
    let reflag =
        |name: &UniqueName| LocalChange::Reflag { name: name.clone(), add: Flags::SEEN, remove: Flags::NONE };
    let undone = maildir.change(&inbox(), &[reflag(&long), reflag(&short)]).await.unwrap();
    assert_eq!(undone, [long]);
    assert_eq!(names(&path.join("cur")), ["short:2,S"]);
}

// Directories.

#[tokio::test]
async fn hostile_names_stay_inside_the_root_and_apart() {
    let hostile = [
        "../../.ssh/authorized_keys",
        "/etc",
        "a/../../b",
        "..",
        ".",
        "",
        "nul\0byte",
        "a%2Fb",
        "cur",
        "x/new/tmp",
        "Inbox2",
        "INBOX2",
        "e\u{301}",
        "é",
        "back\\slash",
        " space ",
        "dot.",
        ".hidden",
        "posthaste",
        "%",
        "a/",
    ];
    for layout in [Layout::Nested, Layout::MaildirPlusPlus] {
        let (home, mut maildir) = open(layout);
        let mut wanted: Vec<MailboxName> = hostile.iter().map(|&name| MailboxName::new(name)).collect();
        wanted.push(MailboxName::new("long".repeat(1000)));
        let mut directories = std::collections::BTreeSet::new();
        for mailbox in &wanted {
            assert!(directories.insert(maildir.create(mailbox).await.unwrap()), "{layout:?} {mailbox}");
        }
        assert_eq!(tree(home.path(), maildir.root()), Vec::<PathBuf>::new());
        let listed = maildir.list().await.unwrap();
        wanted.sort();
        // `%` alone is written `%25` by those who write names properly.
        wanted.retain(|name| name.as_str() != "%");
        assert!(wanted.iter().all(|name| listed.contains(name)), "{layout:?} {listed:?}");
        assert_eq!(listed.len(), wanted.len() + 1);
    }
}

#[tokio::test]
async fn symlinks_lead_nowhere() {
    let (home, mut maildir) = open(Layout::Nested);
    let mut outside = Maildir::open(home.path().join("outside"), Layout::Nested, LineEndings::Lf).unwrap();
    outside.create(&inbox()).await.unwrap();
    symlink(home.path().join("outside"), maildir.root().join("trap")).unwrap();
    assert_eq!(maildir.list().await.unwrap(), []);
    let trouble = maildir.scan(&MailboxName::new("trap/INBOX")).await.unwrap_err();
    assert_eq!(trouble.scope, Scope::Mailbox);
    assert!(maildir.create(&MailboxName::new("trap/x")).await.is_err());
    assert_eq!(names(outside.root()), ["INBOX"]);
}

#[tokio::test]
async fn a_replaced_directory_shows_and_a_missing_root_ends_the_pass() {
    let (_home, mut maildir, path) = with_inbox().await;
    let before = maildir.scan(&inbox()).await.unwrap().unwrap();
    fs::rename(&path, path.with_extension("old")).unwrap();
    assert!(maildir.scan(&inbox()).await.unwrap().is_none());
    for place in ["new", "cur", "tmp"] {
        fs::create_dir_all(path.join(place)).unwrap();
    }
    let after = maildir.scan(&inbox()).await.unwrap().unwrap();
    assert_ne!(after.directory, before.directory);
    assert!(before.marked && !after.marked);
    fs::remove_dir_all(maildir.root()).unwrap();
    let trouble = maildir.scan(&inbox()).await.unwrap_err();
    assert_eq!((trouble.scope, trouble.class), (Scope::Pass, Class::RETRY));
    assert!(maildir.create(&inbox()).await.is_err(), "only opening makes a root");
}

#[test]
fn a_root_that_others_can_write_in_is_refused() {
    let home = tempfile::tempdir().unwrap();
    let open = |path: &Path| Maildir::open(path.to_owned(), Layout::Nested, LineEndings::Lf);
    let root = home.path().join("deep/mail");
    open(&root).unwrap();
    assert_eq!(fs::metadata(&root).unwrap().mode() & 0o777, 0o700);
    symlink(&root, home.path().join("link")).unwrap();
    open(&home.path().join("link")).unwrap();
    fs::set_permissions(&root, fs::Permissions::from_mode(0o770)).unwrap();
    for path in [root, home.path().join("link")] {
        let error = open(&path).unwrap_err();
        assert!(matches!(error, Error::UnsafeRoot { .. }), "{error}");
    }
    fs::write(home.path().join("file"), "").unwrap();
    assert!(matches!(open(&home.path().join("file")), Err(Error::Root { .. })));
}

#[tokio::test]
async fn a_mailbox_without_directory_is_an_error_of_that_mailbox_alone() {
    let (_home, mut maildir) = open(Layout::Nested);
    let trouble = maildir.change(&inbox(), &[]).await.unwrap_err();
    assert_eq!(trouble.scope, Scope::Mailbox);
    let deep = MailboxName::new("a/".repeat(1000));
    assert_eq!(maildir.create(&deep).await.unwrap_err().class, Class::GiveUp);
}

// The quarantine.

#[tokio::test]
async fn copies_wait_in_quarantine_until_they_are_old_and_can_come_back() {
    for layout in [Layout::Nested, Layout::MaildirPlusPlus] {
        let (_home, mut maildir) = open(layout);
        maildir.create(&inbox()).await.unwrap();
        let (one, other) = (
            deliver(&mut maildir, 1, Flags::SEEN, b"one").await,
            deliver(&mut maildir, 2, Flags::NONE, b"two").await,
        );
        let leave = |name: &UniqueName| LocalChange::Quarantine { name: name.clone() };
        maildir.change(&inbox(), &[leave(&one), leave(&other)]).await.unwrap();
        assert_eq!(files(&mut maildir).await, BTreeMap::new());
        assert_eq!(maildir.list().await.unwrap(), [inbox()], "the quarantine is no mailbox");

        let copies = maildir.quarantined().await.unwrap();
        let copy = |file: String| copies.iter().find(|copy| copy.file == file);
        let (one_copy, other_copy) = (copy(format!("{one}:2,S")).unwrap(), copy(other.to_string()).unwrap());
        assert_eq!((&one_copy.mailbox, &other_copy.mailbox, copies.len()), (&inbox(), &inbox(), 2));
        assert!(maildir.restore(one_copy).await.unwrap());
        assert!(!maildir.restore(one_copy).await.unwrap());
        assert_eq!(files(&mut maildir).await, BTreeMap::from([(one, Flags::SEEN)]));

        let now = SystemTime::now();
        for days in [0, 1, 2, 365, 3, 4, 5, 6, 7] {
            assert_eq!(maildir.clean_up(now + days * DAY, KEEP).await.unwrap(), 0, "day {days}");
        }
        assert_eq!(maildir.quarantined().await.unwrap().len(), 1);
        assert_eq!(maildir.clean_up(now + 8 * DAY, KEEP).await.unwrap(), 1);
        assert_eq!(maildir.quarantined().await.unwrap(), []);
    }
}

#[tokio::test]
async fn nothing_is_written_where_the_disk_is_not_mounted() {
    let (home, maildir) = open(Layout::Nested);
    let entries =
        || fs::read_dir(home.path()).unwrap().map(|entry| entry.unwrap().path()).collect::<Vec<_>>();
    let before = entries();
    assert_eq!(maildir.clean_up(SystemTime::now(), KEEP).await.unwrap(), 0);
    assert_eq!(entries(), before);
    for place in before {
        assert_eq!(fs::read_dir(place).unwrap().count(), 0);
    }
}

#[tokio::test]
async fn no_copy_replaces_another() {
    let (_home, mut maildir, path) = with_inbox().await;
    for body in ["first", "second"] {
        fs::write(path.join("cur/same:2,S"), body).unwrap();
        let leave = LocalChange::Quarantine { name: UniqueName::new("same") };
        maildir.change(&inbox(), &[leave]).await.unwrap();
    }
    let copies: Vec<String> =
        maildir.quarantined().await.unwrap().into_iter().map(|copy| copy.file).collect();
    assert_eq!(copies, ["same:2,S", "same.1:2,S"]);
}

#[tokio::test]
async fn a_copy_named_by_a_stranger_leads_nowhere() {
    let (home, maildir) = open(Layout::Nested);
    fs::write(home.path().join("secret"), "x").unwrap();
    for (day, file) in [("../..", "secret"), ("2026-11-22", "../../../../secret"), ("", "")] {
        let copy = Quarantined { day: day.into(), mailbox: inbox(), file: file.into() };
        assert!(!maildir.restore(&copy).await.unwrap());
    }
    assert!(home.path().join("secret").exists());
}

/// A batch of 1000 messages, for `strace -f -c -e trace=fsync,fdatasync`.
#[tokio::test]
async fn a_batch_of_a_thousand_is_one_batch() {
    let (_home, mut maildir, path) = with_inbox().await;
    let all = (1..=1000).flat_map(|uid| arrivals(uid, Flags::NONE, &[&[b'x'; 2000]], None)).collect();
    let staged = stage_all(&mut maildir, all).await;
    assert_eq!(maildir.publish(&inbox(), &staged).await.unwrap(), []);
    assert_eq!(names(&path.join("new")).len(), 1000);
}
