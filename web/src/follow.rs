//! The two tasks that talk to the daemon: one follows what happens, the other looks at the status.

use std::{path::PathBuf, sync::Arc, time::Duration};

use serde_json::json;
use tokio::time::{sleep, timeout};

use crate::{
    hub::Hub,
    wire::{Wire, WireError},
};

/// How often the status is looked at while a page is open, and while none is.
const WATCHED: Duration = Duration::from_secs(1);
const UNWATCHED: Duration = Duration::from_secs(5);
/// Shortest pause between two looks, however much happens.
const BREATH: Duration = Duration::from_millis(100);
/// Pauses between two tries to subscribe.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

/// Follows the daemon's events for ever, however often it goes and comes back.
pub async fn follow(hub: Arc<Hub>, socket: PathBuf) {
    let mut pause = FIRST_PAUSE;
    loop {
        match subscribed(&hub, &socket).await {
            Ok(()) => pause = FIRST_PAUSE,
            Err(WireError::Refused { code, .. }) if code == "out_of_range" => {
                hub.forget();
                continue;
            }
            Err(_) => pause = (2 * pause).min(LONGEST_PAUSE),
        }
        // the other task finds out what the matter is
        hub.bell.notify_one();
        sleep(pause).await;
    }
}

/// One subscription to its end. An error is one that never began.
async fn subscribed(hub: &Hub, socket: &std::path::Path) -> Result<(), WireError> {
    let mut wire = Wire::new(socket.to_owned());
    let request = json!({ "type": "subscribe", "from": hub.next(), "decisions": true });
    wire.request(&request, false).await?;
    hub.take_beginning();
    hub.bell.notify_one();
    while let Ok(Some((line, text))) = wire.next().await {
        if line.get("error").is_some() {
            break;
        }
        hub.take_line(&line, text);
    }
    Ok(())
}

/// Looks at the daemon's status for ever: at its own pace, and soon after something happened.
pub async fn look(hub: Arc<Hub>, socket: PathBuf) {
    let mut wire = Wire::new(socket);
    loop {
        match wire.request(&json!({ "type": "status" }), true).await {
            Ok(mut answer) => {
                hub.take_status(answer.get_mut("status").map(serde_json::Value::take).unwrap_or_default())
            }
            Err(error) => hub.take_silence(&error.to_string()),
        }
        sleep(BREATH).await;
        let pause = if hub.pages() > 0 || hub.seen().silence.is_some() { WATCHED } else { UNWATCHED };
        let _nothing_happened = timeout(pause - BREATH, hub.bell.notified()).await;
    }
}
