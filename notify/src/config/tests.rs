use std::os::unix::fs::PermissionsExt as _;

use super::*;

/// The faults of a file, with secrets named `key` and `open` beside it; `open` may be read by everybody.
fn load(text: &str) -> Result<Config, String> {
    let folder = tempfile::tempdir().unwrap();
    let secrets = folder.path().join("secrets");
    fs::create_dir(&secrets).unwrap();
    for (name, text, mode) in [
        ("key", "0123456789abcdef", 0o600),
        ("url", "https://hooks.example.org/S3CRET", 0o600),
        ("token", "123:S3CRET", 0o600),
        ("short", "S3CRET", 0o600),
        ("open", "0123456789abcdef", 0o644),
        ("lines", "S3CRET\nS3CRET", 0o600),
    ] {
        fs::write(secrets.join(name), text).unwrap();
        fs::set_permissions(secrets.join(name), fs::Permissions::from_mode(mode)).unwrap();
    }
    let path = folder.path().join("notify.toml");
    fs::write(&path, text).unwrap();
    Config::load(&path, 1).map_err(|faults| faults.to_string().replace(folder.path().to_str().unwrap(), ""))
}

const HOOK: &str = "[[receiver]]\nname = \"a\"\nkind = \"webhook\"\nurl = \"https://example.org\"\n";

#[test]
fn the_example_is_a_configuration_and_names_every_key_with_a_comment() {
    let example = include_str!("../../notify.toml");
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("secrets")).unwrap();
    for (name, text) in [("ops.key", "0123456789abcdef"), ("telegram.token", "1:a"), ("slack.url", "https://a.b/c")] {
        fs::write(folder.path().join("secrets").join(name), text).unwrap();
        fs::set_permissions(folder.path().join("secrets").join(name), fs::Permissions::from_mode(0o600)).unwrap();
    }
    // what is a comment there is meant to be taken as it stands
    let program = folder.path().join("sendmail");
    fs::write(&program, "").unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    let line = |line: &str| line.strip_prefix("#: ").unwrap_or(line).to_owned();
    let whole = example.lines().map(line).collect::<Vec<_>>().join("\n");
    let whole = whole.replace("/usr/sbin/sendmail", program.to_str().unwrap());
    fs::write(folder.path().join("notify.toml"), &whole).unwrap();
    let config = Config::load(&folder.path().join("notify.toml"), 1).unwrap();
    assert_eq!(config.receivers.len(), 5);
    let fields = include_str!("../config.rs").split("#[serde(deny_unknown_fields)]").skip(1).flat_map(|part| {
        let body = part.split("{\n").nth(1).unwrap().split("\n}").next().unwrap();
        body.lines().filter_map(|line| line.trim().split_once(": ").map(|(key, _)| key.to_owned())).collect::<Vec<_>>()
    });
    let mut count = 0;
    for key in fields.filter(|key| key != "receiver") {
        let lines: Vec<String> = example.lines().map(line).collect();
        let place = lines.iter().position(|line| line.contains(&format!("{key} = ")));
        let place = place.unwrap_or_else(|| panic!("{key} does not stand in notify.toml"));
        let is_said = lines[place].contains(" # ")
            || lines[..place]
                .iter()
                .rev()
                .find(|line| !line.contains(" = "))
                .is_some_and(|line| line.starts_with("# "));
        assert!(is_said, "{key} has no comment");
        count += 1;
    }
    assert!(count > 25, "{count} keys");
}

#[test]
fn a_fault_says_where_it_is_and_what_to_do() {
    for (text, expected) in [
        ("", "/notify.toml: there is no [[receiver]], so nobody would be told; add one"),
        ("labl = \"x\"", "/notify.toml:1: unknown field `labl`, expected one of `label`"),
        ("\n\nlabel = ", "/notify.toml:3: "),
        (
            "[[receiver]]\nname = \"a\"\nkind = \"pager\"\n",
            "/notify.toml:3: unknown variant `pager`, expected one of `webhook`",
        ),
        (&format!("silent_after = \"0s\"\n{HOOK}"), "`silent_after` is 0s; it is to be from 1s to"),
        (&format!("zone = \"Mars/Olympus\"\n{HOOK}"), "`zone`: "),
        (&format!("{HOOK}{HOOK}"), "/notify.toml:6: receiver `a`: `name`: another one has this name"),
        (&HOOK.replace("\"a\"", "\"A b\""), "`name` has 1 to 32 of"),
        (&format!("{HOOK}only = [\"drift\", \"drfit\"]"), "`only`: no alert has the code \"drfit\"; \"Alerts\""),
        (&format!("{HOOK}window = \"25h\""), "`window` is 25h; it is to be from 0s to 24h"),
        (&format!("{HOOK}window = \"soon\""), "/notify.toml:5: "),
        (&format!("{HOOK}first_pause = \"2m\"\nlongest_pause = \"1m\""), "no longer than `longest_pause`"),
        (&format!("{HOOK}timeout = \"1ms\""), "`timeout` is at least 100ms"),
        (
            &format!("{HOOK}chat = \"1\""),
            "`chat` means nothing to a receiver of this kind, whose own keys are url, url_file",
        ),
        (&format!("{HOOK}url_file = \"url\""), "`url` and `url_file` say the same; keep one"),
        (&HOOK.replace("https", "http"), "set `plain_http = true` in a network that you trust"),
        (&format!("{HOOK}key_file = \"none\""), "`key_file`: /secrets/none: there is no such file"),
        (&format!("{HOOK}key_file = \"open\""), "`key_file`: /secrets/open: every user can open it; chmod 600 it"),
        (&format!("{HOOK}key_file = \"short\""), "a key has at least 16 characters"),
        (&format!("{HOOK}key_file = \"lines\""), "it is to hold one line"),
        (&format!("{HOOK}quiet = [{{ days = [\"mon\"], from = \"22:00\", to = \"07:00\" }}]"), "say in which `zone`"),
        (
            &format!("zone = \"UTC\"\n{HOOK}quiet = [{{ days = [\"monday\"], from = \"22:00\", to = \"7:00\" }}]"),
            "is none of mon,",
        ),
        (
            &format!("zone = \"UTC\"\n{HOOK}quiet = [{{ days = [\"mon\"], from = \"10 pm\", to = \"7:00\" }}]"),
            "is no time such as",
        ),
        ("[[receiver]]\nname = \"s\"\nkind = \"slack\"\n", "`url_file` is missing"),
        ("[[receiver]]\nname = \"t\"\nkind = \"telegram\"\ntoken_file = \"token\"\n", "`chat` is missing"),
        ("[[receiver]]\nname = \"m\"\nkind = \"mail\"\nfrom = \"a@b\"\nto = [\"-x@y\"]\n", "is no plain address"),
        (
            "[[receiver]]\nname = \"m\"\nkind = \"mail\"\nfrom = \"a@b\"\nto = [\"x@y\"]\nsendmail = \"/none\"\n",
            "/none is not there; install",
        ),
    ] {
        let faults = load(text).expect_err(text);
        assert!(faults.contains(expected), "{text:?} gives {faults:?}, and not {expected:?}");
    }
    let telegram = |chat: &str, token: &str| {
        format!("[[receiver]]\nname = \"t\"\nkind = \"telegram\"\ntoken_file = \"{token}\"\nchat = \"{chat}\"\n")
    };
    let mail = |program: &str| {
        format!(
            "[[receiver]]\nname = \"m\"\nkind = \"mail\"\nfrom = \"a@b\"\nto = [\"x@y\"]\nsendmail = \"{program}\"\n"
        )
    };
    for (text, expected) in [
        (telegram("", "token"), "/notify.toml:5: receiver `t`: `chat` is the number"),
        (telegram("-100 ", "token"), "/notify.toml:5: receiver `t`: `chat` is the number"),
        (telegram("-100", "key"), "/notify.toml:4: receiver `t`: `token_file`: that is no token"),
        (mail("/dev/null"), "/notify.toml:6: receiver `m`: `sendmail`: /dev/null is no program"),
        (mail("/etc/passwd"), "/notify.toml:6: receiver `m`: `sendmail`: /etc/passwd is no program"),
        (
            format!("{HOOK}only = [\"drift\"]\nexcept = [\"drift\"]"),
            "/notify.toml:6: receiver `a`: `except` has \"drift\"",
        ),
        (format!("state = \"\"\n{HOOK}"), "/notify.toml:1: `state` is empty"),
        (
            format!("label = \"x\"\nstate = \"/dev/null\"\n{HOOK}"),
            "/notify.toml:2: `state` is /dev/null, which is no folder",
        ),
        (format!("socket = \"\"\n{HOOK}"), "/notify.toml:1: `socket` is empty"),
        (
            format!(
                "zone = \"UTC\"\n{HOOK}quiet = [{{ days = [\"mon\", \"mon\"], from = \"22:00\", to = \"07:00\" }}]"
            ),
            "/notify.toml:6: receiver `a`: `quiet`: `days` names \"mon\" twice",
        ),
    ] {
        let faults = load(&text).expect_err(&text);
        assert!(
            faults.starts_with(expected) && faults.lines().count() == 1,
            "{text:?} gives {faults:?}, and not {expected:?}"
        );
    }
    // every fault with the line of its key, those of the file's shape and the others
    let all = load(&format!(
        "labl = \"x\"\nsilent_after = \"0s\"\n{HOOK}windw = \"1s\"\ntimeout = 5\nonly = [\"x\"]\n\n{}url = 7\nlevel = \"loud\"\n",
        HOOK.replace("\"a\"", "\"b\"").replace("url = \"https://example.org\"\n", "")
    ));
    let all = all.expect_err("seven faults");
    let places: Vec<&str> = all.lines().map(|fault| fault.split(':').nth(1).unwrap()).collect();
    assert_eq!(places, ["1", "2", "7", "8", "9", "14", "15"], "{all}");
    // all at once
    let both = load(&format!("{HOOK}window = \"25h\"\nonly = [\"x\"]\ntimeout = \"99s\"\n")).expect_err("three faults");
    assert_eq!(both.lines().count(), 3, "{both}");
}

#[test]
fn a_secret_that_stands_where_the_name_of_its_file_should_is_not_shown() {
    for text in [
        format!("{HOOK}key_file = \"S3CRET!/with+signs=\""),
        format!("{HOOK}key_file = 4711S3CRET"),
        format!("{HOOK}key_file = 4711471147114711"),
        format!("{HOOK}key_file = [\"S3CRET\"]"),
        "[[receiver]]\nname = \"t\"\nkind = \"telegram\"\nchat = \"1\"\ntoken_file = \"123:S3CRET\"\n".to_owned(),
        "[[receiver]]\nname = \"s\"\nkind = \"slack\"\nurl_file = \"https://hooks.slack.com/S3CRET\"\n".to_owned(),
        HOOK.replace("https://example.org", "http://S3CRET@example.org"),
    ] {
        let faults = load(&text).expect_err(&text);
        assert!(!faults.contains("S3CRET") && !faults.contains("4711"), "{text}: {faults}");
    }
    let taken =
        load(&format!("{HOOK}key_file = \"key\"\n[[receiver]]\nname = \"s\"\nkind = \"slack\"\nurl_file = \"url\"\n"))
            .unwrap();
    let shown = format!("{taken:?} {}", taken.receivers[1].target.words());
    assert!(!shown.contains("S3CRET") && !shown.contains("0123456789"), "{shown}");
}
