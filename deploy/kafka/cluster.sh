#!/bin/sh
# Starts one node of several (deploy/compose.yaml). From the environment:
#   KAFKA_NODE_ID       its number
#   KAFKA_HOST          its name, for clients and the other nodes; its certificate is of that name
#   KAFKA_VOTERS        all nodes: 1@kafka-1:9094,2@kafka-2:9094,…
#   KAFKA_SUPER_USERS   who needs no ACL: User:CN=kafka-1;…;User:sallyport-operator
#   KAFKA_HEAP          of the Java runtime (512m)
# and as files in /run/secrets:
#   kafka_cluster_id, kafka_ca.pem
#   kafka_node.pem      the node's key (PKCS 8) and certificate
#   kafka_users         the first SCRAM credentials, one a line, salted: no password comes here, but whoever has one of
#                       them can log in with it
set -eu
secrets=/run/secrets
data=/var/lib/kafka
settings=$data/server.properties

# Written by this user alone: it names the files of keys.
umask 077
cp /opt/kafka/cluster.properties "$settings"
cat >> "$settings" <<END
node.id=$KAFKA_NODE_ID
listeners=CLIENTS://0.0.0.0:9092,BROKERS://0.0.0.0:9093,CONTROLLER://0.0.0.0:9094
advertised.listeners=CLIENTS://$KAFKA_HOST:9092,BROKERS://$KAFKA_HOST:9093,CONTROLLER://$KAFKA_HOST:9094
controller.quorum.voters=$KAFKA_VOTERS
super.users=$KAFKA_SUPER_USERS
ssl.keystore.location=$secrets/kafka_node.pem
ssl.truststore.location=$secrets/kafka_ca.pem
log.dirs=$data/data
END

run() {
    exec java -Xmx"${KAFKA_HEAP:-512m}" -Xms"${KAFKA_HEAP:-512m}" -XX:+UseSerialGC -XX:+ExitOnOutOfMemoryError \
        -Dlog4j2.configurationFile=file:/opt/kafka/log4j2-console.xml -cp '/opt/kafka/jars/*' "$@"
}

# A node that was formatted stays as it is: its data is on the volume.
if [ ! -f "$data/data/meta.properties" ]; then
    # The credentials go as a file of arguments, one a line, since everybody can see the arguments of a process; and the tool
    # prints to standard output, the container's log, what it makes of them.
    arguments=$(mktemp)
    while read -r credential; do printf '%s\n' --add-scram "$credential"; done < "$secrets/kafka_users" > "$arguments"
    ( run kafka.tools.StorageTool format -t "$(cat "$secrets/kafka_cluster_id")" -c "$settings" "@$arguments" ) > /dev/null
    rm "$arguments"
fi
run kafka.Kafka "$settings"
