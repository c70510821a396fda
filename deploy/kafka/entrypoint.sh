#!/bin/sh
# Starts the node of the image. KAFKA_ADVERTISED_HOST and KAFKA_ADVERTISED_PORT: where clients reach it (127.0.0.1 and
# 9092); it listens on that port inside too. KAFKA_HEAP: of the Java runtime (512m).
set -eu
host=${KAFKA_ADVERTISED_HOST:-127.0.0.1}
port=${KAFKA_ADVERTISED_PORT:-9092}
controller=9093
[ "$port" = "$controller" ] && controller=9094
data=/var/lib/kafka
settings=$data/server.properties

cp /opt/kafka/server.properties "$settings"
cat >> "$settings" <<END
listeners=PLAINTEXT://0.0.0.0:$port,CONTROLLER://127.0.0.1:$controller
advertised.listeners=PLAINTEXT://$host:$port
controller.quorum.voters=1@127.0.0.1:$controller
log.dirs=$data/data
END

run() {
    exec java -Xmx"${KAFKA_HEAP:-512m}" -XX:+UseSerialGC -XX:+ExitOnOutOfMemoryError \
        -Dlog4j2.configurationFile=file:/opt/kafka/log4j2-console.xml -cp '/opt/kafka/jars/*' "$@"
}
cluster=$(head -c 16 /dev/urandom | base64 | tr '+/' '-_' | cut -c1-22)
( run kafka.tools.StorageTool format -t "A${cluster#?}" -c "$settings" --ignore-formatted )
run kafka.Kafka "$settings"
