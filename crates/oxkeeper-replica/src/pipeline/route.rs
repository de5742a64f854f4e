//! Which way a request takes, by its op number alone. Called by the edge for every request after the handshake.

use oxkeeper_types::OpCode;

/// Where a request goes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Route {
    /// Answered by `State::read` on the connection's own thread.
    Read(OpCode),
    /// Handed to the core: it becomes a transaction or keeps its place among them.
    Submit(OpCode),
    /// Answered by the edge with `auth::authenticate`.
    Auth,
    /// Answered by the edge: a token exchange.
    Sasl,
    /// Answered with -6 and zxid -1; then the connection is closed.
    Refuse,
}

/// Routes an op number. Ops that only the server itself may propose (createSession, deleteContainer) are refused from
/// clients: the reference takes them and skips every check (inventory CW052, BG035). So is check outside a multi
/// (ZOOKEEPER-2623).
pub fn route(number: i32) -> Route {
    let Some(op) = OpCode::from_number(number) else { return Route::Refuse };
    match op {
        OpCode::Auth => Route::Auth,
        OpCode::Sasl => Route::Sasl,
        OpCode::CreateSession | OpCode::DeleteContainer | OpCode::Check | OpCode::Notification | OpCode::Error => {
            Route::Refuse
        }
        OpCode::Sync => Route::Submit(op),
        op if op.is_write() => Route::Submit(op),
        op => {
            assert!(op.is_read(), "{op:?} has no route");
            Route::Read(op)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_op_has_a_route() {
        for op in OpCode::ALL {
            route(op.number());
        }
    }

    #[test]
    fn what_only_servers_propose_is_refused() {
        for number in [-10, 20, 13, 0, -1, 10, 999] {
            assert_eq!(route(number), Route::Refuse, "{number}");
        }
    }
}
