package org.apache.zookeeper.test;

import java.util.Collections;
import java.util.List;
import java.util.Set;
import javax.management.MBeanServerConnection;
import javax.management.ObjectName;

/** Stands in place of the class of this name in ZooKeeper's tests: a process that is no JVM has no beans to look for. */
public class JMXEnv {
    public static void setUp() {
    }

    public static void tearDown() {
    }

    public static MBeanServerConnection conn() {
        throw new UnsupportedOperationException(oxkeeper.Servers.IN_JVM + "JMX");
    }

    public static Set<ObjectName> ensureAll(String... names) {
        return Collections.emptySet();
    }

    public static Set<ObjectName> ensureOnly(String... names) {
        return Collections.emptySet();
    }

    public static void ensureNone(String... names) {
    }

    public static void dump() {
    }

    public static Set<ObjectName> ensureParent(String... names) {
        return Collections.emptySet();
    }

    public static Object ensureBeanAttribute(String name, String attribute) {
        throw new UnsupportedOperationException(oxkeeper.Servers.IN_JVM + "JMX");
    }

    public static List<ObjectName> getServerBeans() {
        return Collections.emptyList();
    }

    public static ObjectName getServerBean() {
        throw new UnsupportedOperationException(oxkeeper.Servers.IN_JVM + "JMX");
    }
}
