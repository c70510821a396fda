{{- define "sallyport.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 40 | trimSuffix "-" -}}
{{- else -}}
{{- $name := default .Chart.Name .Values.nameOverride -}}
{{- if contains $name .Release.Name -}}
{{- .Release.Name | trunc 40 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name $name | trunc 40 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- /* Arguments: root, component. Labels that select: they never change. */ -}}
{{- define "sallyport.selector" -}}
app.kubernetes.io/name: sallyport
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .component }}
{{- end -}}

{{- define "sallyport.labels" -}}
{{ include "sallyport.selector" . }}
app.kubernetes.io/part-of: sallyport
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version | replace "+" "_" }}
{{- with .root.Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- /* Of pods: without the chart's version, or a chart that changes elsewhere would restart them all. */ -}}
{{- define "sallyport.podLabels" -}}
{{ include "sallyport.selector" . }}
app.kubernetes.io/part-of: sallyport
{{- with .root.Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- define "sallyport.name" -}}
{{ include "sallyport.fullname" .root }}-{{ .component }}
{{- end -}}

{{- /* Arguments: root, image (ingest, matcher, notifier). */ -}}
{{- define "sallyport.image" -}}
{{- $registry := required "image.registry: where the images are, such as registry.example.org/justice" .root.Values.image.registry -}}
{{- $name := printf "%s/sallyport-%s" (trimSuffix "/" $registry) .image -}}
{{- with get .root.Values.image.digests .image -}}
{{- printf "%s@%s" $name . -}}
{{- else -}}
{{- printf "%s:%s" $name (default .root.Chart.AppVersion .root.Values.image.tag) -}}
{{- end -}}
{{- end -}}

{{- /* A value as the environment wants it: Helm reads 8388608 as a float, and would print 8.388608e+06. */ -}}
{{- define "sallyport.scalar" -}}
{{- if and (kindIs "float64" .) (eq (floor .) .) -}}
{{- int64 . | toString | quote -}}
{{- else -}}
{{- toString . | quote -}}
{{- end -}}
{{- end -}}

{{- define "sallyport.preStop" -}}
{{- $own := get .root.Values .component -}}
{{- default 0 $own.preStopSeconds -}}
{{- end -}}

{{- /* Whether there is a set-up job; empty: none. */ -}}
{{- define "sallyport.hasSetup" -}}
{{- with .Values.setup }}{{ if and .enabled (or .topics .migrate) }}true{{ end }}{{ end -}}
{{- end -}}

{{- /* The ports of a NetworkPolicy rule, from a list of numbers. */ -}}
{{- define "sallyport.ports" -}}
{{- range . }}
- {protocol: TCP, port: {{ int . }}}
{{- end }}
{{- end -}}
