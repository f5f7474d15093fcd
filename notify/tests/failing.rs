//! What is given up, a disk that is full, secrets, and each kind of receiver.
#![expect(clippy::unwrap_used, reason = "what the tests share may fail loudly")]

mod common;

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    process::Command,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use common::{Answer, Place, Receiver, receiver::Request, skip::skipped, until, webhook};
use ring::hmac;

fn codes(receiver: &Receiver) -> Vec<String> {
    receiver.delivered().iter().flat_map(Request::codes).collect()
}

#[test]
fn dead_letters_are_listed_and_sent_once_more() {
    let works = Arc::new(AtomicBool::new(false));
    let seen = Arc::clone(&works);
    let broken = Receiver::start(move |_| if seen.load(Ordering::SeqCst) { Answer::Ok } else { Answer::Status(500) });
    let healthy = Receiver::start(|_| Answer::Ok);
    let config = [webhook("broken", &broken.url(), "tries = 2"), webhook("healthy", &healthy.url(), "")];
    let place = Place::new(&config.concat());
    let _daemon = place.daemon();
    let mut follower = place.follower();
    place.lock("one");
    place.conflict();
    place.lock("two");
    // three of the daemon; what this process says of the first is for the others
    until("three dead letters", || (place.told(&["dead", "list"]).matches("for broken").count() == 3).then_some(()));
    let list = place.told(&["dead", "list"]);
    assert!(list.contains("given up at ") && list.contains("after 2 tries: it answers 500"), "{list}");
    assert!(list.contains("CRITICAL locked") && list.contains(": one. To do: "), "{list}");
    assert_eq!(broken.requests().len(), 6, "two tries each");
    until("that the healthy one heard of it", || codes(&healthy).contains(&"receiver_failed".to_owned()).then_some(()));
    assert_eq!(codes(&healthy).iter().filter(|code| *code == "receiver_failed").count(), 1, "{:?}", codes(&healthy));
    until("that nothing waits", || place.told(&["status"]).contains("broken: 0 waiting; FAILING, ").then_some(()));
    // one that is named, while it runs, and again to a receiver that still fails
    let id = list.split(' ').next().unwrap().to_owned();
    place.told(&["dead", "retry", &id]);
    until("two more tries", || (broken.requests().len() == 8).then_some(()));
    until("it is dead again", || (place.told(&["dead", "list"]).matches("for broken").count() == 3).then_some(()));
    // the others over a kill
    follower.kill();
    works.store(true, Ordering::SeqCst);
    let said = place.told(&["dead", "retry", "--receiver", "broken"]);
    assert_eq!(said, "3 to be sent once more, at the next `vigie notify run`\n");
    let _follower = place.follower();
    until("an empty list", || (place.told(&["dead", "list"]) == "no dead letters\n").then_some(()));
    let raised = place.raised("warning");
    until("all three", || raised.iter().all(|seq| broken.seqs().contains(seq)).then_some(()));
    let told: Vec<String> = broken.requests().iter().flat_map(Request::codes).collect();
    assert!(!told.contains(&"receiver_failed".to_owned()), "it was told of itself: {told:?}");
    let none = place.notify(&["dead", "retry", "--all"]);
    assert_eq!(none.status.code(), Some(1), "{none:?}");
    assert_eq!(place.notify(&["dead", "retry"]).status.code(), Some(2));
}

#[test]
fn a_message_that_is_refused_is_given_up_and_does_not_hold_up_the_next() {
    let receiver = Receiver::start(|n| if n < 5 { Answer::Status(400) } else { Answer::Ok });
    let place = Place::new(&webhook("a", &receiver.url(), ""));
    let _daemon = place.daemon();
    let _follower = place.follower();
    place.lock("refused");
    place.lock("taken");
    let last = *until("two", || Some(place.raised("critical")).filter(|raised| raised.len() == 2)).last().unwrap();
    until("the second one", || receiver.seqs().contains(&last).then_some(()));
    let list = place.told(&["dead", "list"]);
    assert!(list.contains("after 5 tries: it answers 400") && list.matches("for a,").count() == 1, "{list}");
}

#[test]
fn a_full_disk_delays_nothing_and_loses_nothing() {
    let receiver = Receiver::start(|_| Answer::Ok);
    let place = Place::new(&webhook("a", &receiver.url(), ""));
    let _daemon = place.daemon();
    let mut follower = place.follower();
    place.lock("before");
    until("the first", || (codes(&receiver) == ["locked"]).then_some(()));
    let spool = place.path("vigie-notify-state/spool.jsonl");
    let before = fs::metadata(&spool).unwrap().len();
    follower.kill();
    // no file grows any more: neither the spool nor what a receiver has
    let mut follower = place.begin("ulimit -S -f 0;");
    if !Command::new("prlimit").arg("--version").output().is_ok_and(|output| output.status.success()) {
        return skipped("prlimit is not here");
    }
    (0..3).for_each(|number| place.lock(&format!("full {number}")));
    until("what came on a full disk", || {
        (codes(&receiver).iter().filter(|code| *code == "locked").count() >= 4).then_some(())
    });
    until("that it is told", || codes(&receiver).contains(&"notify_unwritten".to_owned()).then_some(()));
    assert_eq!(fs::metadata(&spool).unwrap().len(), before, "nothing was written, so the disk was full");
    assert!(follower.is_alive());
    // there is room again
    let freed =
        Command::new("prlimit").args(["--fsize=unlimited", "--pid", &follower.id().to_string()]).status().unwrap();
    assert!(freed.success());
    until("that the spool is written", || (fs::metadata(&spool).unwrap().len() > before).then_some(()));
    place.lock("after");
    let raised = until("all", || Some(place.raised("critical")).filter(|raised| raised.len() == 5));
    until("the last one", || raised.iter().all(|seq| receiver.seqs().contains(seq)).then_some(()));
    assert_eq!(receiver.seqs(), raised);
    // a kill on a full disk loses nothing either: what is not on disk is read from the daemon again
    follower.kill();
    let mut full = place.begin("ulimit -S -f 0;");
    place.lock("before the kill");
    let raised = until("six", || Some(place.raised("critical")).filter(|raised| raised.len() == 6));
    until("the sixth", || receiver.seqs().contains(raised.last().unwrap()).then_some(()));
    full.kill();
    place.lock("meanwhile");
    let raised = place.raised("critical");
    let _follower = place.follower();
    until("the seventh", || receiver.seqs().contains(raised.last().unwrap()).then_some(()));
    assert_eq!(receiver.seqs(), raised);
}

/// A program that notes what it is given, and ends with what stands in the file `code` beside it.
fn sendmail(place: &Place) -> String {
    let path = place.path("sendmail");
    let folder = path.parent().unwrap().display().to_string();
    let script = format!(
        "#!/bin/sh\necho \"$@\" >> {folder}/arguments\ncat >> {folder}/mails\necho S3CRET-free words >&2\nexit $(cat {folder}/code)\n"
    );
    fs::write(&path, script).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    fs::write(place.path("code"), "0").unwrap();
    path.display().to_string()
}

/// One of each kind; all secrets contain `S3CRET`.
fn of_each_kind(place: &Place, receiver: &Receiver) {
    place.secret("hook.key", "S3CRET-0123456789");
    place.secret("slack.url", &format!("http://{}/services/S3CRET/slack", receiver.address));
    place.secret("discord.url", &format!("http://{}/api/S3CRET/discord", receiver.address));
    place.secret("telegram.token", "123:S3CRET");
    let more =
        "first_pause = \"10ms\"\nlongest_pause = \"40ms\"\ntries = 3\ntimeout = \"500ms\"\ncritical_window = \"0s\"\n";
    place.configure(&format!(
        "label = \"desk\"\n{}[[receiver]]\nname = \"slack\"\nkind = \"slack\"\nurl_file = \"slack.url\"\n{more}\
         [[receiver]]\nname = \"discord\"\nkind = \"discord\"\nurl_file = \"discord.url\"\n{more}\
         [[receiver]]\nname = \"telegram\"\nkind = \"telegram\"\ntoken_file = \"telegram.token\"\nchat = \"-100\"\napi = \"http://{}\"\n{more}\
         [[receiver]]\nname = \"mail\"\nkind = \"mail\"\nfrom = \"vigie@example.org\"\nto = [\"desk@example.org\", \"b@example.org\"]\nsendmail = \"{}\"\n{more}",
        webhook("hook", &receiver.url(), "key_file = \"hook.key\"\ntries = 3"),
        receiver.address,
        sendmail(place),
    ));
}

#[test]
fn each_kind_of_receiver_gets_what_it_understands() {
    let receiver = Receiver::start(|_| Answer::Ok);
    let place = Place::new("");
    of_each_kind(&place, &receiver);
    let _daemon = place.daemon();
    let _follower = place.follower();
    place.lock("a <!channel> *b*");
    let of = |path: &str| receiver.delivered().into_iter().find(|request| request.path == path);
    let hook = until("the webhook", || of("/hook"));
    assert!(hook.body["text"].as_str().unwrap().starts_with("CRITICAL locked at ") && hook.body["label"] == "desk");
    assert_eq!((&hook.body["alerts"][0]["code"], &hook.body["kind"]), (&"locked".into(), &"alert".into()));
    assert!(hook.body["alerts"][0]["to_do"].as_str().unwrap().contains("the way back"));
    // as docs/notify.md says it is checked
    let signed = format!("{}.{}", hook.header("Vigie-Timestamp").unwrap(), hook.text);
    let mac = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, b"S3CRET-0123456789"), signed.as_bytes());
    let digits: String = mac.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(hook.header("Vigie-Signature"), Some(&*format!("v1={digits}")));
    let slack = until("slack", || of("/services/S3CRET/slack")).body;
    assert!(slack["text"].as_str().unwrap().contains("a &lt;!channel&gt; *b*") && slack["mrkdwn"] == false, "{slack}");
    let discord = until("discord", || of("/api/S3CRET/discord")).body;
    assert!(discord["content"].as_str().unwrap().contains(r"\*b\*"), "{discord}");
    let telegram = until("telegram", || of("/bot123:S3CRET/sendMessage")).body;
    assert!(telegram["chat_id"] == "-100" && telegram["text"].as_str().unwrap().contains("<!channel>"), "{telegram}");
    let mail = until("a mail", || {
        fs::read_to_string(place.path("mails")).ok().filter(|mail| mail.ends_with("=\n") || mail.contains("\n\n"))
    });
    assert!(mail.contains("To: desk@example.org, b@example.org\nSubject: [vigie desk] CRITICAL locked\n"), "{mail}");
    assert_eq!(
        fs::read_to_string(place.path("arguments")).unwrap(),
        "-i -f vigie@example.org desk@example.org b@example.org\n"
    );
    for name in ["hook", "slack", "discord", "telegram", "mail"] {
        assert_eq!(place.told(&["test", name]), format!("{name}: delivered\n"));
    }
}

#[test]
fn no_secret_is_in_what_it_says_or_keeps() {
    let answers = [
        Answer::Status(403),
        Answer::CloseAfter,
        Answer::Nonsense,
        Answer::HugeHead,
        Answer::Redirect("127.0.0.1:9".parse().unwrap()),
        Answer::Silent,
    ];
    let receiver = Receiver::start(move |n| answers[n % answers.len()]);
    let place = Place::new("");
    of_each_kind(&place, &receiver);
    fs::write(place.path("code"), "75").unwrap();
    let _daemon = place.daemon();
    let mut follower = place.follower();
    place.lock("one");
    until("dead letters of all", || (place.told(&["dead", "list"]).matches("given up at").count() >= 10).then_some(()));
    let mut said = Vec::new();
    for arguments in [
        &["check"][..],
        &["status"],
        &["dead", "list"],
        &["test", "hook"],
        &["test", "slack"],
        &["test", "telegram"],
        &["test", "mail"],
        &["test", "discord"],
    ] {
        let output = place.notify(arguments);
        assert_eq!(output.status.code(), Some(if arguments[0] == "test" { 3 } else { 0 }), "{arguments:?}: {output:?}");
        said.push(format!("{arguments:?}: {output:?}"));
    }
    assert!(said.iter().any(|said| said.contains("the mail program ends with 75: S3CRET-free words")), "{said:?}");
    said.retain(|said| !said.contains("mail program ends"));
    assert_eq!(follower.end(), Some(0));
    let log = place.log();
    assert!(log.contains("slack: try 1 of ") && log.contains("is given up after 3 tries"), "{log}");
    said.extend(log.lines().filter(|line| !line.contains("mail program ends")).map(str::to_owned));
    let state = place.path("vigie-notify-state");
    let own = fs::read_dir(&state)
        .unwrap()
        .chain(fs::read_dir(state.join("receivers")).unwrap())
        .map(|entry| entry.unwrap().path());
    let files: Vec<String> = own.filter(|path| path.is_file()).map(|path| fs::read_to_string(path).unwrap()).collect();
    assert!(files.len() >= 8, "{}", files.len());
    // the mail program's words are no secret, and are kept
    said.extend(files.iter().map(|text| text.replace("S3CRET-free", "")));
    let shown: Vec<&String> = said.iter().filter(|said| said.contains("S3CRET")).collect();
    assert!(shown.is_empty(), "{shown:?}");
}

#[test]
fn the_command_line_says_what_is_wrong() {
    let receiver = Receiver::start(|_| Answer::Status(500));
    let place = Place::new(&webhook("a", &receiver.url(), "windw = \"1s\""));
    let checked = place.notify(&["check"]);
    assert_eq!(checked.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&checked.stderr).contains("notify.toml:12: unknown field `windw`"), "{checked:?}");
    place.configure(&webhook("a", &receiver.url(), ""));
    assert_eq!(
        place.told(&["check"]),
        "notify.toml is in order: 1 receiver\n  a: webhook at 127.0.0.1, not signed, from warning on\n"
    );
    assert!(place.told(&["status"]).contains("NOT running"));
    assert_eq!(place.told(&["dead", "list"]), "no dead letters\n");
    let unknown = place.notify(&["test", "b"]);
    assert!(
        unknown.status.code() == Some(1)
            && String::from_utf8_lossy(&unknown.stderr).contains("no receiver \"b\"; there are a")
    );
    let failed = place.notify(&["test", "a"]);
    assert_eq!(
        (failed.status.code(), String::from_utf8(failed.stdout).unwrap()),
        (Some(3), "a: not delivered: it answers 500\n".to_owned())
    );
    assert_eq!(place.notify(&["--config", "none.toml", "check"]).status.code(), Some(2));
    let _daemon = place.daemon();
    let mut follower = place.follower();
    let second = place.notify(&["run"]);
    assert!(
        second.status.code() == Some(1)
            && String::from_utf8_lossy(&second.stderr).contains("another `vigie notify run` uses"),
        "{second:?}"
    );
    assert_eq!(follower.end(), Some(0));
    for command in [
        &["run"][..],
        &["check"],
        &["test"],
        &["status"],
        &["dead"],
        &["dead", "list"],
        &["dead", "retry"],
        &["dead", "drop"],
    ] {
        let help = place.told(&[command, &["--help"]].concat());
        assert!(help.contains("Usage: vigie notify"), "{help}");
    }
}

#[test]
fn a_hangup_is_said_and_ends_nothing() {
    let receiver = Receiver::start(|_| Answer::Ok);
    let place = Place::new(&webhook("a", &receiver.url(), ""));
    let _daemon = place.daemon();
    let mut follower = place.follower();
    for round in 1..=2 {
        follower.signal("-HUP");
        until("its word", || (place.log().matches("SIGHUP changes nothing").count() == round).then_some(()));
    }
    place.lock("after");
    until("the alert", || (codes(&receiver) == ["locked"]).then_some(()));
    assert!(follower.is_alive());
    assert_eq!(follower.end(), Some(0));
}

/// A mail program of these lines, and what came of a message to it.
fn mail_through(lines: &str) -> (Place, std::process::Output) {
    let place = Place::new("");
    let path = place.path("program");
    fs::write(&path, format!("#!/bin/sh\ncd {}\n{lines}\n", path.parent().unwrap().display())).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    place.configure(&format!(
        "[[receiver]]\nname = \"m\"\nkind = \"mail\"\nfrom = \"a@b\"\nto = [\"c@d\"]\ntimeout = \"1s\"\nsendmail = \"{}\"\n",
        path.display()
    ));
    let output = place.notify(&["test", "m"]);
    (place, output)
}

#[test]
fn a_mail_program_may_say_much_and_takes_nothing_with_it_that_hangs() {
    // far more than a pipe holds
    let (_place, output) = mail_through(
        "cat >/dev/null; i=0; while [ $i -lt 3000 ]; do echo 'a line of a hundred bytes or so' >&2; i=$((i+1)); done",
    );
    assert_eq!(String::from_utf8_lossy(&output.stdout), "m: delivered\n");
    // one that hangs in a program that it began
    let (place, output) = mail_through("sh -c 'echo $$ > child; exec sleep 600'; exit 0");
    assert!(String::from_utf8_lossy(&output.stdout).contains("did not end in time"), "{output:?}");
    let child = fs::read_to_string(place.path("child")).unwrap();
    let state = || fs::read_to_string(format!("/proc/{}/stat", child.trim())).ok();
    // gone, or dead and not yet collected by whoever is above it
    until("that its child is ended", || state().is_none_or(|state| state.contains(") Z ")).then_some(()));
}
