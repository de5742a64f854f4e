package oxkeeper;

import static org.junit.platform.engine.discovery.DiscoverySelectors.selectClass;

import org.junit.platform.engine.TestExecutionResult;
import org.junit.platform.engine.support.descriptor.MethodSource;
import org.junit.platform.launcher.Launcher;
import org.junit.platform.launcher.TestExecutionListener;
import org.junit.platform.launcher.TestIdentifier;
import org.junit.platform.launcher.core.LauncherDiscoveryRequestBuilder;
import org.junit.platform.launcher.core.LauncherFactory;

/** Runs one test class and prints a line for each of its tests: `RESULT TAB pass|fail|skip TAB name TAB seconds TAB why`. */
public final class RunClass implements TestExecutionListener {
    private long started;

    private RunClass() {
    }

    public static void main(String[] args) throws Exception {
        Launcher launcher = LauncherFactory.create();
        launcher.execute(
            LauncherDiscoveryRequestBuilder.request()
                .selectors(selectClass(Class.forName(args[0])))
                .configurationParameter("junit.jupiter.execution.timeout.default", "150 s")
                .build(),
            new RunClass());
        System.out.println("RESULT\tend");
        System.out.flush();
        // What a test has left running must not keep the process.
        Runtime.getRuntime().exit(0);
    }

    @Override
    public void executionStarted(TestIdentifier test) {
        started = System.nanoTime();
    }

    @Override
    public void executionSkipped(TestIdentifier test, String reason) {
        print("skip", test, reason);
    }

    @Override
    public void executionFinished(TestIdentifier test, TestExecutionResult result) {
        boolean passed = result.getStatus() == TestExecutionResult.Status.SUCCESSFUL;
        if (passed && !test.isTest()) {
            return;
        }
        String why = result.getThrowable().map(RunClass::reason).orElse("");
        print(passed ? "pass" : result.getStatus() == TestExecutionResult.Status.ABORTED ? "skip" : "fail", test, why);
    }

    private void print(String verdict, TestIdentifier test, String why) {
        String name = test.getSource().filter(MethodSource.class::isInstance)
            .map(source -> ((MethodSource) source).getMethodName()).orElse("*");
        if (!test.getDisplayName().startsWith(name)) {
            name += " " + test.getDisplayName();
        }
        long seconds = (System.nanoTime() - started) / 1_000_000_000L;
        System.out.println(String.join("\t", "RESULT", verdict, name, Long.toString(seconds), why.replaceAll("\\s+", " ")));
    }

    private static String reason(Throwable thrown) {
        StringBuilder reason = new StringBuilder(thrown.toString());
        for (StackTraceElement frame : thrown.getStackTrace()) {
            if (frame.getClassName().startsWith("org.apache.zookeeper.") && frame.getClassName().contains("Test")) {
                reason.append(" at ").append(frame.getFileName()).append(':').append(frame.getLineNumber());
                break;
            }
        }
        return reason.toString();
    }
}
