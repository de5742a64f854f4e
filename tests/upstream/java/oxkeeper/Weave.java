package oxkeeper;

import static net.bytebuddy.matcher.ElementMatchers.named;
import static net.bytebuddy.matcher.ElementMatchers.takesArguments;
import static net.bytebuddy.matcher.ElementMatchers.takesNoArguments;

import java.io.File;
import net.bytebuddy.ByteBuddy;
import net.bytebuddy.asm.Advice;
import net.bytebuddy.dynamic.ClassFileLocator;
import net.bytebuddy.dynamic.DynamicType;
import net.bytebuddy.dynamic.scaffold.TypeValidation;
import net.bytebuddy.pool.TypePool;
import org.apache.zookeeper.server.ServerCnxnFactory;
import org.apache.zookeeper.server.ZooKeeperServer;
import org.apache.zookeeper.server.quorum.Members;
import org.apache.zookeeper.server.quorum.QuorumPeer;
import org.apache.zookeeper.server.quorum.QuorumPeer.ServerState;

/**
 * Writes QuorumPeer and ServerCnxnFactory once more, as the class path has them, with a process in place of what they would run
 * themselves. What comes out stands before ZooKeeper's jar on the class path of the tests.
 */
public final class Weave {
    private Weave() {
    }

    public static void main(String[] args) throws Exception {
        ClassFileLocator classes = ClassFileLocator.ForClassLoader.of(Weave.class.getClassLoader());
        DynamicType.Builder<?> peer = redefine("org.apache.zookeeper.server.quorum.QuorumPeer", classes);
        for (String method : new String[] {"startServerCnxnFactory", "startLeaderElection", "startJvmPauseMonitor"}) {
            peer = peer.visit(Advice.to(Nothing.class, classes).on(named(method).and(takesNoArguments())));
        }
        peer.visit(Advice.to(Start.class, classes).on(named("loadDataBase")))
            .visit(Advice.to(Run.class, classes).on(named("run").and(takesNoArguments())))
            .visit(Advice.to(Shutdown.class, classes).on(named("shutdown").and(takesNoArguments())))
            .visit(Advice.to(State.class, classes).on(named("getPeerState")))
            .visit(Advice.to(Active.class, classes).on(named("getActiveServer")))
            .visit(Advice.to(LastZxid.class, classes).on(named("getLastLoggedZxid")))
            .make()
            .saveIn(new File(args[0]));
        redefine("org.apache.zookeeper.test.ClientBase", classes)
            .visit(Advice.to(Roles.class, classes).on(named("waitForServerUp").and(takesArguments(4))))
            .make()
            .saveIn(new File(args[0]));
        redefine("org.apache.zookeeper.server.ServerCnxnFactory", classes)
            .visit(Advice.to(Factory.class, classes).on(named("createFactory").and(takesNoArguments())))
            .make()
            .saveIn(new File(args[0]));
    }

    private static DynamicType.Builder<?> redefine(String name, ClassFileLocator classes) {
        return new ByteBuddy().with(TypeValidation.DISABLED).redefine(TypePool.Default.of(classes).describe(name).resolve(), classes);
    }

    static final class Nothing {
        @Advice.OnMethodEnter(skipOn = Advice.OnNonDefaultValue.class)
        static boolean enter() {
            return true;
        }
    }

    /** Whatever factory a test asks for by name, it gets the one whose servers are processes. */
    static final class Factory {
        @Advice.OnMethodEnter(skipOn = Advice.OnNonDefaultValue.class)
        static ServerCnxnFactory enter() {
            return new ProcessFactory();
        }

        @Advice.OnMethodExit
        static void exit(@Advice.Enter ServerCnxnFactory made, @Advice.Return(readOnly = false) ServerCnxnFactory given) {
            given = made;
        }
    }

    static final class Start {
        @Advice.OnMethodEnter(skipOn = Advice.OnNonDefaultValue.class)
        static boolean enter(@Advice.This QuorumPeer peer) {
            Members.start(peer);
            return true;
        }
    }

    static final class Run {
        @Advice.OnMethodEnter(skipOn = Advice.OnNonDefaultValue.class)
        static boolean enter(@Advice.This QuorumPeer peer) {
            Members.run(peer);
            return true;
        }
    }

    static final class Shutdown {
        @Advice.OnMethodEnter(skipOn = Advice.OnNonDefaultValue.class)
        static boolean enter(@Advice.This QuorumPeer peer) {
            Members.shutdown(peer);
            return true;
        }
    }

    static final class LastZxid {
        @Advice.OnMethodEnter(skipOn = Advice.OnNonDefaultValue.class)
        static boolean enter() {
            return true;
        }

        @Advice.OnMethodExit
        static void exit(@Advice.This QuorumPeer peer, @Advice.Return(readOnly = false) long zxid) {
            zxid = Members.lastZxid(peer);
        }
    }

    static final class Active {
        @Advice.OnMethodEnter(skipOn = Advice.OnNonDefaultValue.class)
        static boolean enter() {
            return true;
        }

        @Advice.OnMethodExit
        static void exit(@Advice.This QuorumPeer peer, @Advice.Return(readOnly = false) ZooKeeperServer server) {
            server = Members.server(peer);
        }
    }

    static final class Roles {
        @Advice.OnMethodExit
        static void exit() {
            Members.learnRoles();
        }
    }

    static final class State {
        @Advice.OnMethodExit
        static void exit(@Advice.This QuorumPeer peer, @Advice.Return(readOnly = false) ServerState state) {
            ServerState told = Members.state(peer);
            if (told != null) {
                state = told;
            }
        }
    }
}
