//! The operation codes of the client protocol and of transactions (reference `ZooDefs.OpCode`).

macro_rules! op_codes {
    ($($(#[$doc:meta])* $name:ident = $number:literal, $text:literal;)*) => {
        /// An operation: of a request, or of a transaction where the same number is used there.
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
        #[repr(i32)]
        pub enum OpCode { $($(#[$doc])* $name = $number,)* }

        impl OpCode {
            pub const ALL: &'static [OpCode] = &[$(OpCode::$name,)*];
            pub const fn number(self) -> i32 { self as i32 }
            /// The name that the reference's tools print.
            pub const fn name(self) -> &'static str {
                match self { $(OpCode::$name => $text,)* }
            }
            pub const fn from_number(number: i32) -> Option<OpCode> {
                match number { $($number => Some(OpCode::$name),)* _ => None }
            }
        }
    };
}

op_codes! {
    Notification = 0, "notification";
    Create = 1, "create";
    Delete = 2, "delete";
    Exists = 3, "exists";
    GetData = 4, "getData";
    SetData = 5, "setData";
    GetAcl = 6, "getACL";
    SetAcl = 7, "setACL";
    GetChildren = 8, "getChildren";
    Sync = 9, "sync";
    Ping = 11, "ping";
    GetChildren2 = 12, "getChildren2";
    /// Only inside a multi.
    Check = 13, "check";
    Multi = 14, "multi";
    Create2 = 15, "create2";
    Reconfig = 16, "reconfig";
    CheckWatches = 17, "checkWatches";
    RemoveWatches = 18, "removeWatches";
    CreateContainer = 19, "createContainer";
    /// Internal: proposed by the reaper, refused from clients.
    DeleteContainer = 20, "deleteContainer";
    CreateTtl = 21, "createTTL";
    MultiRead = 22, "multiRead";
    Auth = 100, "auth";
    SetWatches = 101, "setWatches";
    Sasl = 102, "sasl";
    GetEphemerals = 103, "getEphemerals";
    GetAllChildrenNumber = 104, "getAllChildrenNumber";
    SetWatches2 = 105, "setWatches2";
    AddWatch = 106, "addWatch";
    WhoAmI = 107, "whoAmI";
    /// Internal: the transaction that opens a session; refused from clients.
    CreateSession = -10, "createSession";
    CloseSession = -11, "closeSession";
    /// A transaction that records a refused write, and the type of an error inside a multi result.
    Error = -1, "error";
}

impl OpCode {
    /// Whether a request of this kind becomes a transaction (and takes a zxid even when it is refused).
    pub const fn is_write(self) -> bool {
        matches!(
            self,
            OpCode::Create
                | OpCode::Create2
                | OpCode::CreateContainer
                | OpCode::CreateTtl
                | OpCode::Delete
                | OpCode::DeleteContainer
                | OpCode::SetData
                | OpCode::SetAcl
                | OpCode::Multi
                | OpCode::Reconfig
                | OpCode::CreateSession
                | OpCode::CloseSession
        )
    }

    /// Whether a request of this kind is answered from the tree of the server that got it.
    pub const fn is_read(self) -> bool {
        matches!(
            self,
            OpCode::Exists
                | OpCode::GetData
                | OpCode::GetAcl
                | OpCode::GetChildren
                | OpCode::GetChildren2
                | OpCode::CheckWatches
                | OpCode::RemoveWatches
                | OpCode::MultiRead
                | OpCode::SetWatches
                | OpCode::SetWatches2
                | OpCode::GetEphemerals
                | OpCode::GetAllChildrenNumber
                | OpCode::AddWatch
                | OpCode::WhoAmI
                | OpCode::Ping
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_number_leads_back_to_its_op() {
        for &op in OpCode::ALL {
            assert_eq!(OpCode::from_number(op.number()), Some(op));
            assert!(!(op.is_read() && op.is_write()), "{op:?} is both a read and a write");
        }
        assert_eq!(OpCode::from_number(10), None);
    }
}
