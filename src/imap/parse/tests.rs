//! Responses as servers send them, well formed and not.

use super::*;
use crate::mail::Flags;
use proptest::prelude::*;

fn read(text: &str) -> Response {
    response(text.as_bytes())
}

fn condition(text: &str) -> Condition {
    match read(text) {
        Response::Condition(condition) | Response::Tagged { condition, .. } => condition,
        other => panic!("{other:?}"),
    }
}

fn fetched(text: &str) -> Fetch {
    match read(text) {
        Response::Fetch(fetch) => fetch,
        other => panic!("{other:?}"),
    }
}

#[test]
fn codes_are_told_from_words() {
    let uid_validity = condition("* OK [UIDVALIDITY 38505] UIDs valid");
    assert_eq!(
        (uid_validity.code, uid_validity.text.as_str()),
        (Some(Code::UidValidity(38505)), "UIDs valid")
    );
    let refused = condition("A7 NO [OVERQUOTA] full");
    assert_eq!((refused.status, refused.code), (Status::No, Some(Code::Other("OVERQUOTA".into()))));
    assert_eq!(condition("A7 BAD").text, "");
    assert_eq!(condition("* NO [not a code").text, "[not a code");
    assert_eq!(condition("* OK [ALERT]é").text, "é");
    assert_eq!(condition("* OK [UIDVALIDITY x] odd").code, Some(Code::Other("UIDVALIDITY".into())));
    let flags = condition("* OK [PERMANENTFLAGS (\\Seen a]b \\*)] ok").code;
    assert_eq!(flags, Some(Code::PermanentFlags(vec!["\\Seen".into(), "a]b".into(), "\\*".into()])));
    assert_eq!(condition("* OK [MODIFIED 7,9] x").code, Some(Code::Other("MODIFIED".into())));
}

#[test]
fn uidplus_codes() {
    assert_eq!(
        condition("A1 OK [APPENDUID 38505 3955] done").code,
        Some(Code::AppendUid { uid_validity: 38505, uid: 3955 })
    );
    assert_eq!(
        condition("* OK [COPYUID 38505 304,319:320 3956:3958] moved").code,
        Some(Code::CopyUid {
            uid_validity: 38505,
            from: vec![(304, 304), (319, 320)],
            to: vec![(3956, 3958)]
        })
    );
}

#[test]
fn fetch_items_in_any_order_around_the_body() {
    let fetch = fetched(
        "* 12 FETCH (FLAGS (\\Seen $Forwarded odd) BODY[] {*}\r\n X-GM-LABELS (\"a\" (b)) UID 7 MODSEQ (9) \
         INTERNALDATE \"17-Jul-1996 02:44:25 -0700\" RFC822.SIZE 4294967297)",
    );
    assert_eq!(fetch.uid, Some(7));
    assert_eq!(fetch.flags, Some(Flags::SEEN | Flags::FORWARDED));
    assert_eq!((fetch.size, fetch.mod_seq), (Some(4_294_967_297), Some(9)));
    assert_eq!(fetch.body, Some(Body::Streamed));
    assert_eq!(fetch.internal_date.as_deref(), Some("17-Jul-1996 02:44:25 -0700"));
    assert_eq!(fetched("* 1 FETCH (UID 1 BODY[] NIL)").body, Some(Body::Nil));
    assert_eq!(fetched("* 1 FETCH (UID 1 BODY[] \"a\\\"b\")").body, Some(Body::Inline(b"a\"b".to_vec())));
    assert_eq!(fetched("* 1 FETCH (RFC822.SIZE -1 UID 3 )").uid, Some(3));
    let header = fetched("* 1 FETCH (BODY[HEADER.FIELDS (Message-ID TO)] {7}\r\nTo: a\r\n UID 3)").header;
    assert_eq!(header.as_deref(), Some(&b"To: a\r\n"[..]));
    for broken in ["* 1 FETCH (UID x)", "* 1 FETCH (FLAGS (\\Seen)", "* 1 FETCH (UID NIL)", "* 1 FETCH NIL"] {
        assert_eq!(read(broken), Response::Other, "{broken}");
    }
}

#[test]
fn lists_and_statuses() {
    let Response::List(list) = read(r#"* LIST (\HasNoChildren \Sent) "/" "a \"b\" &AOk-" ("OLDNAME" ("x"))"#)
    else {
        panic!("no list")
    };
    assert_eq!((list.attributes.len(), list.delimiter), (2, Some('/')));
    assert_eq!(list.name, b"a \"b\" &AOk-");
    let Response::List(gmail) = read("* list () NIL [Gmail]/All") else { panic!("no list") };
    assert_eq!((gmail.delimiter, gmail.name), (None, b"[Gmail]/All".to_vec()));
    assert_eq!(read("* LIST () \"/\" NIL NIL"), read("* LIST () \"/\" NIL"));
    assert_eq!(read("* LIST () \"/\""), Response::Other);
    let Response::Status(items) =
        read("* STATUS {5}\r\na b c (MESSAGES 3 MAILBOXID (F1) UIDNEXT 9 UIDVALIDITY 1 HIGHESTMODSEQ 77)")
    else {
        panic!("no status")
    };
    assert_eq!((items.messages, items.uid_next, items.uid_validity), (Some(3), Some(9), Some(1)));
    assert_eq!((items.highest_mod_seq, items.name), (Some(77), b"a b c".to_vec()));
}

#[test]
fn searches_in_both_forms() {
    let set = |text: &str| match read(text) {
        Response::Search(set) => set.to_string(),
        other => panic!("{other:?}"),
    };
    assert_eq!(set("* SEARCH 9 3 4 (MODSEQ 12)"), "3:4,9");
    assert_eq!(set("* SEARCH"), "");
    assert_eq!(set("* ESEARCH (TAG \"A9\") UID ALL 10:5,1 MODSEQ 3"), "1,5:10");
    assert_eq!(set("* ESEARCH (TAG \"A9\") UID"), "");
    assert_eq!(read("* ESEARCH (TAG \"A9\") UID ALL 1:*"), Response::Other);
    assert_eq!(
        read("* VANISHED (EARLIER) 300:310"),
        Response::Vanished {
            earlier: true,
            uids: UidSet::range(Uid::new(300).unwrap(), Uid::new(310).unwrap())
        }
    );
}

#[test]
fn the_unknown_is_skipped() {
    for text in [
        "",
        "*",
        "* ",
        "* 5",
        "* 5 RECENT",
        "* 0 EXPUNGE",
        "* XLIST () x",
        "A1",
        "A1 FINE",
        "* 99999999999 EXISTS",
    ] {
        assert_eq!(read(text), Response::Other, "{text:?}");
    }
    assert_eq!(read("+"), Response::Continue);
    assert_eq!(read("+ idling"), Response::Continue);
    assert_eq!(read("* 3 exists"), Response::Exists(3));
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let _ = response(&bytes);
    }

    #[test]
    fn no_near_response_makes_it_panic(
        start in proptest::sample::select(vec![
            "* 1 FETCH (", "* LIST (", "* STATUS ", "* ESEARCH ", "* SEARCH ", "* OK [", "A1 NO [COPYUID ",
            "* VANISHED ", "* 1 FETCH (BODY["]),
        rest in "[()\\[\\]{}\"\\\\*~+ :,0-9A-Z\r\né]{0,60}",
    ) {
        let _ = read(&format!("{start}{rest}"));
    }
}
