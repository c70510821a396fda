{{- /*
What every pod is: restricted (Pod Security Standards), with its secrets as files and nothing else of the cluster.
Service links are off: a Service called sallyport-http would set SALLYPORT_HTTP_PORT.
*/ -}}
{{- define "sallyport.podSecurity" -}}
automountServiceAccountToken: false
enableServiceLinks: false
securityContext:
  runAsNonRoot: true
  runAsUser: 10001
  runAsGroup: 10001
  fsGroup: 10001
  fsGroupChangePolicy: OnRootMismatch
  seccompProfile: {type: RuntimeDefault}
{{- with .Values.image.pullSecrets }}
imagePullSecrets:
{{- range . }}
  - name: {{ . }}
{{- end }}
{{- end }}
{{- end -}}

{{- define "sallyport.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: {drop: [ALL]}
{{- end -}}

{{- /* What every container for commands has. Arguments: root, image (whose), resources. */ -}}
{{- define "sallyport.commandContainer" -}}
image: {{ include "sallyport.image" . }}
imagePullPolicy: {{ .root.Values.image.pullPolicy }}
resources:
  {{- toYaml .resources | nindent 2 }}
securityContext:
  {{- include "sallyport.containerSecurity" .root | nindent 2 }}
{{- end -}}

{{- /* Arguments: root, user (a key of kafka.users). */ -}}
{{- define "sallyport.kafkaEnv" -}}
{{- $kafka := .root.Values.kafka -}}
- name: SALLYPORT_KAFKA_BOOTSTRAP_SERVERS
  value: {{ required "kafka.bootstrapServers: the brokers, as host:port, comma-separated" $kafka.bootstrapServers | quote }}
- name: SALLYPORT_KAFKA_USERNAME
  value: {{ (get $kafka.users .user).username | quote }}
- name: SALLYPORT_KAFKA_SASL_MECHANISM
  value: {{ $kafka.saslMechanism }}
{{- if $kafka.ca.secretName }}
- name: SALLYPORT_KAFKA_CA_FILE
  value: /run/sallyport/ca/kafka.crt
{{- end }}
{{- end -}}

{{- define "sallyport.databaseEnv" -}}
{{- if .Values.database.ca.secretName }}
- name: SALLYPORT_DATABASE_CA_FILE
  value: /run/sallyport/ca/database.crt
{{- end }}
{{- end -}}

{{- /* Where one key of a secret goes. Arguments: name, key, path. */ -}}
{{- define "sallyport.source" -}}
- secret:
    name: {{ .name }}
    items:
      - {key: {{ .key | quote }}, path: {{ .path }}}
{{- end -}}

{{- /* Arguments: root, user. A file is named like its setting. */ -}}
{{- define "sallyport.kafkaSecret" -}}
{{- $user := get .root.Values.kafka.users .user -}}
{{- $name := required (printf "kafka.users.%s.secretName: an existing secret with this user's password" .user) $user.secretName -}}
{{ include "sallyport.source" (dict "name" $name "key" $user.passwordKey "path" "kafka_password") }}
{{- end -}}

{{- define "sallyport.databaseSecret" -}}
{{- $name := required "database.secretName: an existing secret with the URL of the notifier's PostgreSQL" .Values.database.secretName -}}
{{ include "sallyport.source" (dict "name" $name "key" .Values.database.urlKey "path" "database_url") }}
{{- end -}}

{{- /* The notifier's, for Kafka, its database and what is encrypted in that. */ -}}
{{- define "sallyport.ledgerSecrets" -}}
{{- $keys := .Values.notifier.secretsKeys -}}
{{- $name := required "notifier.secretsKeys.secretName: an existing secret with the keys that webhook secrets are encrypted with" $keys.secretName -}}
{{ include "sallyport.kafkaSecret" (dict "root" . "user" "notifier") }}
{{ include "sallyport.databaseSecret" . }}
{{ include "sallyport.source" (dict "name" $name "key" $keys.key "path" "secrets_keys") }}
{{- end -}}

{{- /* Arguments: root, kafka, database, mail, traces (booleans: whose CAs). Nothing where none is given. */ -}}
{{- define "sallyport.caSources" -}}
{{- $values := .root.Values -}}
{{- if and .kafka $values.kafka.ca.secretName }}
{{ include "sallyport.source" (dict "name" $values.kafka.ca.secretName "key" $values.kafka.ca.key "path" "kafka.crt") }}
{{- end }}
{{- if and .database $values.database.ca.secretName }}
{{ include "sallyport.source" (dict "name" $values.database.ca.secretName "key" $values.database.ca.key "path" "database.crt") }}
{{- end }}
{{- if and .mail $values.notifier.mail.ca.secretName }}
{{ include "sallyport.source" (dict "name" $values.notifier.mail.ca.secretName "key" $values.notifier.mail.ca.key "path" "mail.crt") }}
{{- end }}
{{- if and .traces $values.traces.endpoint $values.traces.ca.secretName }}
{{ include "sallyport.source" (dict "name" $values.traces.ca.secretName "key" $values.traces.ca.key "path" "traces.crt") }}
{{- end }}
{{- end -}}

{{- /* The environment of a service: what the chart knows of, then `settings`. Arguments: root, component, own (text). */ -}}
{{- define "sallyport.serviceEnv" -}}
{{- $own := get .root.Values .component -}}
{{ include "sallyport.kafkaEnv" (dict "root" .root "user" .component) }}
- name: SALLYPORT_SECRETS_DIR
  value: /run/sallyport/secrets
- name: SALLYPORT_HTTP_HOST
  value: 0.0.0.0
- name: SALLYPORT_HTTP_PORT
  value: "8080"
- name: SALLYPORT_LOG_LEVEL
  value: {{ $own.logLevel }}
- name: SALLYPORT_DRAIN_DEADLINE_S
  value: {{ include "sallyport.scalar" $own.drainDeadlineSeconds }}
- name: SALLYPORT_INSTANCE
  valueFrom: {fieldRef: {fieldPath: metadata.name}}
{{- with .root.Values.traces }}{{ if .endpoint }}
- name: SALLYPORT_OTLP_ENDPOINT
  value: {{ .endpoint | quote }}
- name: SALLYPORT_TRACE_SAMPLE_RATIO
  value: {{ include "sallyport.scalar" .sampleRatio }}
{{- if .ca.secretName }}
- name: SALLYPORT_OTLP_CA_FILE
  value: /run/sallyport/ca/traces.crt
{{- end }}
{{- end }}{{ end }}
{{- with .own }}
{{ . }}
{{- end }}
{{- include "sallyport.settingsEnv" $own }}
{{- end -}}

{{- /* The `settings` of a service, each with a line break before it. */ -}}
{{- define "sallyport.settingsEnv" -}}
{{- range $name, $value := .settings }}
- name: SALLYPORT_{{ upper $name }}
  value: {{ include "sallyport.scalar" $value }}
{{- end }}
{{- end -}}

{{- /*
Metadata and spec of a service's pod. Arguments: root, component; texts: own (environment), secrets and cas (sources of
projected volumes), volumes, mounts.
*/ -}}
{{- define "sallyport.servicePod" -}}
{{- $own := get .root.Values .component -}}
{{- $stop := include "sallyport.preStop" . | int -}}
metadata:
  labels:
    {{- include "sallyport.podLabels" . | nindent 4 }}
    {{- with $own.podLabels }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  {{- with $own.podAnnotations }}
  annotations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
spec:
  serviceAccountName: {{ include "sallyport.name" . }}
  {{- include "sallyport.podSecurity" .root | nindent 2 }}
  # What may pass: the pre-stop pause, the drain, 5 s in which a late drain is given up; and a little.
  terminationGracePeriodSeconds: {{ add $stop (ceil $own.drainDeadlineSeconds | int) 10 }}
  {{- with $own.priorityClassName }}
  priorityClassName: {{ . }}
  {{- end }}
  {{- with $own.nodeSelector }}
  nodeSelector:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with $own.tolerations }}
  tolerations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with $own.affinity }}
  affinity:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- if $own.topologySpread.enabled }}
  topologySpreadConstraints:
    {{- range tuple "topology.kubernetes.io/zone" "kubernetes.io/hostname" }}
    - maxSkew: 1
      topologyKey: {{ . }}
      whenUnsatisfiable: {{ $own.topologySpread.whenUnsatisfiable }}
      labelSelector:
        matchLabels:
          {{- include "sallyport.selector" $ | nindent 10 }}
    {{- end }}
  {{- end }}
  containers:
    - name: {{ .component }}
      image: {{ include "sallyport.image" (dict "root" .root "image" .component) }}
      imagePullPolicy: {{ .root.Values.image.pullPolicy }}
      command: [sallyport]
      args: [{{ .component }}]
      env:
        {{- include "sallyport.serviceEnv" . | nindent 8 }}
      ports:
        - {name: http, containerPort: 8080}
      startupProbe:
        httpGet: {path: /livez, port: http}
        periodSeconds: 2
        timeoutSeconds: 5
        failureThreshold: 60
      livenessProbe:
        httpGet: {path: /livez, port: http}
        periodSeconds: 10
        timeoutSeconds: 5
        failureThreshold: 3
      readinessProbe:
        httpGet: {path: /readyz, port: http}
        periodSeconds: 5
        timeoutSeconds: 5
        failureThreshold: 2
      {{- if $stop }}
      lifecycle:
        preStop: {sleep: {seconds: {{ $stop }}}}
      {{- end }}
      resources:
        {{- toYaml $own.resources | nindent 8 }}
      securityContext:
        {{- include "sallyport.containerSecurity" .root | nindent 8 }}
      volumeMounts:
        - {name: tmp, mountPath: /tmp}
        - {name: secrets, mountPath: /run/sallyport/secrets, readOnly: true}
        {{- if trim .cas }}
        - {name: ca, mountPath: /run/sallyport/ca, readOnly: true}
        {{- end }}
        {{- with .mounts }}
        {{- . | nindent 8 }}
        {{- end }}
  volumes:
    - name: tmp
      emptyDir: {sizeLimit: 64Mi}
    - name: secrets
      projected:
        defaultMode: 0440
        sources:
          {{- trim .secrets | nindent 10 }}
          {{- with .root.Values.traces }}{{ if and .endpoint .headers.secretName }}
          {{- include "sallyport.source" (dict "name" .headers.secretName "key" .headers.key "path" "otlp_headers") | nindent 10 }}
          {{- end }}{{ end }}
    {{- if trim .cas }}
    - name: ca
      projected:
        defaultMode: 0440
        sources:
          {{- trim .cas | nindent 10 }}
    {{- end }}
    {{- with .volumes }}
    {{- . | nindent 4 }}
    {{- end }}
{{- end -}}
