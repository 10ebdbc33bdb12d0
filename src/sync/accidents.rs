//! Single accidents that must not cost a message: each was once a way to lose or double one.

use super::Scope;
use super::fakes::Directory;
use super::histories::{World, content, mailbox};
use super::pass::Extent;
use crate::keeping::OnDelete;
use crate::mail::{Flags, MailboxName, Uid, UniqueName};
use std::collections::{BTreeMap, BTreeSet};

/// A world with five messages in INBOX, settled on both sides.
fn settled() -> World {
    let mut world = World::new(true, true);
    for id in 0..5 {
        world.remote.add(&mailbox("INBOX"), &content(id), Flags::NONE);
    }
    world.settle();
    world
}

fn drop_file(world: &mut World, id: u32) {
    world.files("INBOX").retain(|_, (text, _)| *text != content(id));
}

#[test]
fn deletions_go_to_the_trash_also_where_the_trash_is_not_synced() {
    let mut world = World::new(true, true);
    world.remote.add(&mailbox("INBOX"), &content(1), Flags::NONE);
    let only_inbox = |name: &MailboxName| name.is_inbox();
    world.pass_wanting(&Extent::default(), &only_inbox);
    drop_file(&mut world, 1);
    world.pass_wanting(&Extent::default(), &only_inbox);
    assert_eq!(world.on_server()["Trash"].iter().filter(|(text, _)| *text == content(1)).count(), 1);
    assert!(!world.on_disk().contains_key("Trash"));
}

#[test]
fn deletions_go_to_a_new_trash_where_the_server_has_none() {
    let mut world = World::new(true, true);
    world.remote.mailboxes.remove(&mailbox("Trash"));
    world.remote.add(&mailbox("INBOX"), &content(1), Flags::NONE);
    world.settle();
    drop_file(&mut world, 1);
    world.settle();
    assert_eq!(world.on_server()["Trash"].len(), 1);
}

#[test]
fn a_hint_about_an_excluded_mailbox_deletes_nothing() {
    let mut world = settled();
    world.files("Archive").clear();
    let before = world.on_server();
    let extent = Extent { only: Some([mailbox("Archive")].into()), ..Extent::default() };
    world.pass_wanting(&extent, &|name| name.as_str() != "Archive");
    assert_eq!(world.on_server(), before);
}

#[test]
fn files_missing_together_with_the_marker_are_fetched_again() {
    let mut world = settled();
    let before = world.on_server();
    world.local.directories.get_mut(&mailbox("INBOX")).unwrap().marked = false;
    world.files("INBOX").clear();
    world.settle();
    assert_eq!(world.on_server(), before);
    world.assert_equal();
    assert!(world.local.directories[&mailbox("INBOX")].marked);
}

#[test]
fn a_crash_while_a_directory_is_taken_over_deletes_nothing() {
    for point in 0.. {
        let mut world = settled();
        let before = world.on_server();
        world.local.directories.get_mut(&mailbox("INBOX")).unwrap().marked = false;
        world.files("INBOX").clear();
        world.fuse.set(Some(point));
        if world.pass().trouble.is_none() && world.fuse.burnt() <= point {
            assert!(point > 10);
            break;
        }
        world.settle();
        assert_eq!(world.on_server(), before);
        world.assert_equal();
    }
}

#[test]
fn a_restored_directory_with_other_file_names_is_paired_again() {
    let mut world = settled();
    let before = world.on_server();
    let directory = world.local.directories.get_mut(&mailbox("INBOX")).unwrap();
    directory.inode += 1000;
    let files = std::mem::take(&mut directory.files);
    let renamed = files.into_values().enumerate().map(|(n, file)| (UniqueName::new(format!("old{n}")), file));
    directory.files = renamed.collect();
    world.settle();
    assert_eq!(world.on_server(), before);
    world.assert_equal();
}

#[test]
fn deletions_taken_back_are_no_longer_held() {
    let mut world = World::new(true, true);
    for id in 0..40 {
        world.remote.add(&mailbox("INBOX"), &content(id), Flags::NONE);
    }
    world.settle();
    let files = std::mem::take(world.files("INBOX"));
    assert_eq!(world.pass().mailboxes[&mailbox("INBOX")].held.len(), 1);
    *world.files("INBOX") = files;
    world.pass();
    assert!(world.ledger.mailboxes[&mailbox("INBOX")].0.held.is_empty());
}

#[test]
fn a_mailbox_that_cannot_be_made_does_not_stop_the_others() {
    let mut world = settled();
    world.remote.add(&mailbox("INBOX"), &content(77), Flags::NONE);
    world.remote.refuses = Some(mailbox("a.b"));
    world.local.directories.insert(mailbox("a.b"), Directory { inode: 999, ..Directory::default() });
    let report = world.pass();
    assert!(report.mailboxes[&mailbox("a.b")].trouble.is_some());
    assert!(world.on_disk()["INBOX"].iter().any(|(text, _)| *text == content(77)));
}

#[test]
fn a_move_that_adds_a_header_line_is_a_move() {
    let mut world = settled();
    drop_file(&mut world, 1);
    let saved = content(1).replace("\n\n", "\nContent-Length: 7\n\n");
    world.files("Archive").insert(UniqueName::new("saved"), (saved, Flags::SEEN));
    let report = world.pass();
    assert_eq!(report.mailboxes[&mailbox("INBOX")].moved, 1);
    let server = world.on_server();
    assert!(server["Archive"].contains(&(content(1), "S".to_owned())), "{server:?}");
    assert!(!server["Trash"].iter().any(|(text, _)| *text == content(1)));
    assert!(!world.pass().changed_anything());
}

#[test]
fn a_message_edited_here_is_uploaded_and_its_old_text_deleted() {
    for (letters, to) in [("", "INBOX"), ("D", "Archive")] {
        let mut world = settled();
        let old = (content(1), Flags::from_maildir(letters));
        world
            .files("INBOX")
            .values_mut()
            .filter(|(text, _)| *text == content(1))
            .for_each(|file| *file = old.clone());
        world.settle();
        drop_file(&mut world, 1);
        let edited = content(1).replace("body", "another body");
        world.files(to).insert(UniqueName::new("edited"), (edited.clone(), Flags::NONE));
        world.settle();
        let server = world.on_server();
        assert!(server[to].iter().any(|(text, _)| *text == edited), "{server:?}");
        assert!(server["Trash"].iter().any(|(text, _)| *text == content(1)), "{server:?}");
        world.assert_equal();
    }
}

#[test]
fn a_copy_that_nobody_began_here_makes_no_deletion_final() {
    for on_delete in [OnDelete::Trash, OnDelete::Keep] {
        let mut world = settled();
        world.policy.on_delete = on_delete;
        world.remote.add(&mailbox("Archive"), &content(1), Flags::NONE);
        world.settle();
        // The base of the Archive is lost, so that its copy is paired anew, while the one in INBOX is deleted.
        world.ledger.mailboxes.remove(&mailbox("Archive"));
        drop_file(&mut world, 1);
        world.settle();
        assert_eq!(world.count(&content(1)), 2, "{on_delete:?}: {:?}", world.on_server());
    }
}

#[test]
fn a_server_that_makes_its_index_anew_brings_nothing_back() {
    let mut world = settled();
    drop_file(&mut world, 1);
    world.remote.rebuild_index(&mailbox("INBOX"));
    world.settle();
    assert!(world.on_disk()["INBOX"].iter().all(|(text, _)| *text != content(1)), "{:?}", world.on_disk());
    world.assert_equal();
}

#[test]
fn a_server_set_back_to_an_earlier_state_costs_no_message() {
    // The mailbox as of its first three messages; after that it gave out UIDs 4 and 5 once more, or not yet.
    for (came_since, condstore) in [(0, true), (0, false), (1, false), (2, true)] {
        let mut world = World::new(condstore, true);
        for id in 0..2 {
            world.remote.add(&mailbox("INBOX"), &content(id), Flags::NONE);
        }
        world.settle();
        let earlier = world.remote.mailboxes[&mailbox("INBOX")].clone();
        for id in 2..4 {
            world.remote.add(&mailbox("INBOX"), &content(id), Flags::NONE);
            world.remote.flag(&mailbox("INBOX"), Uid::new(1).unwrap(), Flags::SEEN, Flags::NONE);
        }
        world.settle();
        world.remote.mailboxes.insert(mailbox("INBOX"), earlier);
        for id in 0..came_since {
            world.remote.add(&mailbox("INBOX"), &content(100 + id), Flags::NONE);
        }
        world.settle();
        let disk = world.on_disk();
        for id in (0..4).chain(100..100 + came_since) {
            let copies = disk["INBOX"].iter().filter(|(text, _)| *text == content(id)).count();
            assert_eq!(copies, 1, "message {id} of {came_since}, {condstore}: {disk:?}");
        }
        assert!(world.local.quarantine.is_empty());
        assert_eq!(world.on_server()["INBOX"].len(), 3 + came_since as usize);
    }
}

#[test]
fn a_file_that_cannot_be_renamed_unsets_no_flag_on_the_server() {
    let mut world = settled();
    let stuck = world.files("INBOX").iter().find(|(_, (text, _))| *text == content(1)).unwrap().0.clone();
    world.local.stuck = Some(stuck.clone());
    let uid = Uid::new(3).unwrap();
    assert_eq!(world.remote.mailboxes[&mailbox("INBOX")].messages[&uid].content, content(1));
    world.remote.flag(&mailbox("INBOX"), uid, Flags::FLAGGED, Flags::NONE);
    (0..3).for_each(|_| drop(world.pass()));
    assert!(world.on_server()["INBOX"].contains(&(content(1), "F".to_owned())));
    let moved = world.files("INBOX").remove(&stuck).unwrap();
    world.remote.flag(&mailbox("INBOX"), uid, Flags::SEEN, Flags::NONE);
    world.files("Archive").insert(stuck, moved);
    (0..3).for_each(|_| drop(world.pass()));
    assert!(
        world.on_server()["Archive"].iter().any(|(text, flags)| *text == content(1) && flags.contains('S'))
    );
}

#[test]
fn a_change_of_flags_that_the_server_refuses_holds_none_of_its_own_back() {
    let mut world = settled();
    world.remote.refuses_flags = true;
    world
        .files("INBOX")
        .values_mut()
        .filter(|(text, _)| *text == content(1))
        .for_each(|file| file.1 = Flags::SEEN);
    world.remote.flag(&mailbox("INBOX"), Uid::new(4).unwrap(), Flags::FLAGGED, Flags::NONE);
    world.pass();
    assert!(world.on_disk()["INBOX"].contains(&(content(2), "F".to_owned())), "{:?}", world.on_disk());
}

#[test]
fn a_file_that_is_still_being_written_waits_and_makes_no_deletion_meanwhile() {
    let mut world = settled();
    drop_file(&mut world, 1);
    let moved = UniqueName::new("moved");
    world.files("Archive").insert(moved.clone(), ("Message-ID: <1@x>\n\nbo".to_owned(), Flags::NONE));
    world.local.unfinished = Some(moved.clone());
    let before = world.on_server();
    let report = world.pass();
    assert_eq!(report.unfinished(), [mailbox("Archive"), mailbox("INBOX")].into());
    assert_eq!(world.on_server(), before);
    world.files("Archive").insert(moved, (content(1), Flags::NONE));
    world.local.unfinished = None;
    assert_eq!(world.pass().mailboxes[&mailbox("INBOX")].moved, 1);
    world.settle();
    world.assert_equal();
}

#[test]
fn a_flag_set_on_the_server_while_a_moved_file_is_still_being_written_stays() {
    let mut world = settled();
    drop_file(&mut world, 1);
    let moved = UniqueName::new("moved");
    world.files("Archive").insert(moved.clone(), ("Message-ID: <1@x>\n\nbo".to_owned(), Flags::NONE));
    world.local.unfinished = Some(moved.clone());
    let is_it = |content: &str| content.contains("<1@x>");
    let inbox = &world.remote.mailboxes[&mailbox("INBOX")].messages;
    let uid = inbox.iter().find(|(_, message)| is_it(&message.content)).map(|(&uid, _)| uid).unwrap();
    world.remote.flag(&mailbox("INBOX"), uid, Flags::FLAGGED, Flags::NONE);
    world.pass();
    world.files("Archive").insert(moved, (content(1), Flags::NONE));
    world.local.unfinished = None;
    world.settle();
    assert!(world.on_server()["Archive"].contains(&(content(1), "F".to_owned())), "{:?}", world.on_server());
    world.assert_equal();
}

#[test]
fn a_file_that_grows_between_look_and_upload_is_looked_at_again() {
    let mut world = settled();
    world
        .files("INBOX")
        .insert(UniqueName::new("cut"), ("Message-ID: <cut@x>\n\nbo".to_owned(), Flags::NONE));
    world.local.grows = Some("dy\n".to_owned());
    let report = world.pass();
    assert_eq!((world.on_server()["INBOX"].len(), report.unfinished()), (6, [mailbox("INBOX")].into()));
    world.settle();
    world.assert_equal();
}

#[test]
fn a_batch_that_the_ledger_refuses_leaves_no_files_behind() {
    for happened in [false, true] {
        let mut world = settled();
        world.remote.add(&mailbox("INBOX"), &content(50), Flags::NONE);
        world.ledger.refuses_arrivals = Some(happened);
        assert!(world.pass().trouble.is_some());
        assert!(world.local.directories[&mailbox("INBOX")].tmp.is_empty());
        world.ledger.refuses_arrivals = None;
        world.settle();
        world.assert_equal();
    }
}

#[test]
fn two_mailboxes_never_share_a_directory() {
    for is_known in [true, false] {
        let mut world = World::new(true, true);
        world.local.folds_case = true;
        for (index, name) in ["Work", "work"].into_iter().enumerate() {
            world.remote.add(&mailbox(name), &content(index as u32), Flags::NONE);
            if is_known && index == 0 {
                world.settle();
            }
        }
        let before = world.on_server();
        for _ in 0..2 {
            let report = world.pass();
            let trouble = report.mailboxes[&mailbox("work")].trouble.as_ref().unwrap();
            assert!(trouble.to_string().contains("mailbox Work"), "{trouble}");
        }
        assert_eq!(world.on_server(), before);
        assert_eq!(world.on_disk()["Work"].len(), 1);
    }
}

#[test]
fn an_upload_that_the_server_took_but_does_not_show_is_not_repeated() {
    let mut world = World::new(true, false);
    world.settle();
    let name = UniqueName::new("mine");
    world.files("INBOX").insert(name, ("no header at all".to_owned(), Flags::NONE));
    world.pass();
    let taken: BTreeSet<Uid> = world.remote.mailboxes[&mailbox("INBOX")].messages.keys().copied().collect();
    for uid in taken {
        if let Some(message) =
            world.remote.mailboxes.get_mut(&mailbox("INBOX")).unwrap().messages.get_mut(&uid)
        {
            message.content = message.content.replace("no header", "rewritten: by the server\n\nno header");
        }
    }
    for _ in 0..3 {
        world.pass();
    }
    assert_eq!(world.on_server()["INBOX"].iter().filter(|(text, _)| text.contains("no header")).count(), 1);
}

#[test]
fn a_message_that_the_server_does_not_show_keeps_only_itself_back() {
    let mut world = settled();
    let silent = world.remote.add(&mailbox("INBOX"), &content(50), Flags::NONE);
    world.remote.add(&mailbox("INBOX"), &content(51), Flags::NONE);
    world.remote.silent.insert(silent);
    world.files("INBOX").insert(UniqueName::new("mine"), (content(60), Flags::NONE));
    let report = world.pass();
    let trouble = report.mailboxes[&mailbox("INBOX")].trouble.as_ref().unwrap();
    assert!(trouble.to_string().contains("does not show what 1 new message(s) are"), "{trouble}");
    assert_eq!(world.count(&content(60)), 1, "what was never there is uploaded");
    let here = |world: &World, id| world.on_disk()["INBOX"].iter().any(|(text, _)| *text == content(id));
    assert!(here(&world, 51) && !here(&world, 50));
    // With nothing here that could be the same message it is fetched.
    world.settle();
    assert!(here(&world, 50));
    world.assert_equal();
}

#[test]
fn a_message_that_is_too_large_is_named_and_the_mailbox_not_listed_anew_for_it() {
    let mut world = settled();
    let huge = world.remote.add(&mailbox("INBOX"), &content(50), Flags::NONE);
    world.remote.huge.insert(huge);
    let report = world.pass();
    let done = &report.mailboxes[&mailbox("INBOX")];
    assert_eq!((done.left.is_some(), done.incomplete, done.trouble.is_some()), (true, false, false));
    let opened = world.remote.opened;
    world.pass();
    assert_eq!(world.remote.opened, opened);
    // Another one, which may still come, is asked for each time.
    let other = world.remote.add(&mailbox("INBOX"), &content(51), Flags::NONE);
    world.remote.withheld.insert(other);
    for _ in 0..2 {
        let opened = world.remote.opened;
        let report = world.pass();
        assert!(report.mailboxes[&mailbox("INBOX")].incomplete);
        assert_eq!(world.remote.opened, opened + 1);
    }
    world.remote.withheld.clear();
    world.pass();
    assert!(world.on_disk()["INBOX"].iter().any(|(text, _)| *text == content(51)));
}

#[test]
fn what_may_be_a_message_that_is_not_shown_is_not_uploaded_again() {
    let mut world = settled();
    let uids: Vec<Uid> = world.remote.mailboxes[&mailbox("INBOX")].messages.keys().copied().collect();
    world.remote.silent.extend(uids);
    world.ledger.mailboxes.clear();
    let before = (world.on_server(), world.on_disk());
    for _ in 0..2 {
        world.pass();
        assert_eq!((world.on_server(), world.on_disk()), before);
    }
    world.remote.silent.clear();
    world.settle();
    assert_eq!((world.on_server(), world.on_disk()), before);
}

#[test]
fn a_full_mailbox_is_offered_one_file_and_what_was_refused_rests() {
    let mut world = settled();
    for id in 60..65 {
        world.files("INBOX").insert(UniqueName::new(format!("mine{id}")), (content(id), Flags::NONE));
    }
    let server = world.on_server();
    for (scope, offered) in [(Scope::Mailbox, 1), (Scope::Message, 5)] {
        world.remote.full = Some(scope);
        (world.remote.appended, world.policy.resting) = (0, BTreeMap::new());
        let report = world.pass();
        assert_eq!(world.remote.appended, offered);
        let refused = &report.mailboxes[&mailbox("INBOX")].refused;
        assert_eq!(refused.len(), 5, "{scope:?}: all of them rest");
        let resting = |(name, why): &(UniqueName, String)| ((mailbox("INBOX"), name.clone()), why.clone());
        world.policy.resting = refused.iter().map(resting).collect();
    }
    let report = world.pass();
    assert_eq!((world.remote.appended, world.on_server()), (5, server));
    let trouble = report.mailboxes[&mailbox("INBOX")].trouble.as_ref().unwrap();
    assert_eq!(trouble.to_string(), "5 message(s) are not uploaded and wait for the next try: no room");
    (world.remote.full, world.policy.resting) = (None, BTreeMap::new());
    world.settle();
    world.assert_equal();
}

#[test]
fn a_refused_text_is_not_taken_for_another_one_with_its_message_id() {
    for scope in [Scope::Mailbox, Scope::Message] {
        let mut world = settled();
        for id in 60..63 {
            world.files("INBOX").insert(UniqueName::new(format!("mine{id}")), (content(id), Flags::NONE));
        }
        world.remote.full = Some(scope);
        world.pass();
        // Another client saves other texts of the same drafts.
        let others: Vec<String> = (60..63).map(|id| content(id).replace("body", "another body")).collect();
        for other in &others {
            world.remote.add(&mailbox("INBOX"), other, Flags::NONE);
        }
        world.remote.full = None;
        world.settle();
        for (id, other) in (60..63).zip(&others) {
            assert_eq!((world.count(&content(id)), world.count(other)), (1, 1), "{scope:?} {id}");
        }
        world.assert_equal();
    }
}

#[test]
fn a_mailbox_that_becomes_a_mere_name_is_absent_and_mail_under_such_a_name_is_told() {
    let mut world = settled();
    world.remote.unselectable.extend([mailbox("Archive"), mailbox("Lists")]);
    world.files("Lists").insert(UniqueName::new("mine"), (content(60), Flags::NONE));
    let disk = world.on_disk();
    let report = world.pass();
    assert_eq!(report.absent, [mailbox("Archive")].into());
    assert!(world.ledger.mailboxes[&mailbox("Archive")].0.absent);
    let trouble = report.mailboxes[&mailbox("Lists")].trouble.as_ref().unwrap();
    assert!(trouble.to_string().contains("only mailboxes under this name"), "{trouble}");
    assert_eq!(world.on_disk(), disk);
    world.files("Lists").clear();
    assert!(world.pass().absent.is_empty(), "told once");
    world.remote.unselectable.clear();
    world.local.directories.remove(&mailbox("Lists"));
    world.settle();
    world.assert_equal();
}

#[test]
fn a_full_disk_does_not_wait_for_what_the_server_still_sends() {
    let mut world = settled();
    for id in 100..200 {
        world.remote.add(&mailbox("INBOX"), &content(id), Flags::NONE);
    }
    world.local.full = true;
    let report = world.pass();
    assert_eq!(report.trouble.unwrap().to_string(), "no space");
    assert_eq!(world.remote.in_vain, 0);
    world.local.full = false;
    world.settle();
    world.assert_equal();
}

#[test]
fn a_deletion_that_was_cut_off_is_not_copied_to_the_trash_again_by_a_hint() {
    for point in 0.. {
        let mut world = settled();
        world.remote.has_move = false;
        drop_file(&mut world, 1);
        let hint = Extent { only: Some([mailbox("INBOX")].into()), ..Extent::default() };
        world.fuse.set(Some(point));
        let is_whole = world.pass_over(&hint).trouble.is_none() && world.fuse.burnt() <= point;
        world.fuse.set(None);
        world.pass_over(&hint);
        world.settle();
        assert_eq!(world.count(&content(1)), 1, "stopped at effect {point}");
        if is_whole {
            assert!(point > 3);
            break;
        }
    }
}

#[test]
fn a_message_that_is_just_being_written_here_is_not_fetched_beside_it() {
    let mut world = settled();
    let text = content(100);
    let copies = |world: &World| world.on_disk()["INBOX"].iter().filter(|(it, _)| *it == text).count();
    world.remote.add(&mailbox("INBOX"), &text, Flags::NONE);
    let written = UniqueName::new("written");
    world.files("INBOX").insert(written.clone(), (text.clone(), Flags::NONE));
    world.local.unfinished = Some(written);
    assert!(world.pass().unfinished().contains(&mailbox("INBOX")));
    assert_eq!(copies(&world), 1);
    world.local.unfinished = None;
    world.settle();
    assert_eq!((copies(&world), world.count(&text)), (1, 1));
    world.assert_equal();
}
