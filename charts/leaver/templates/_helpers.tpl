{{- define "leaver.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 40 | trimSuffix "-" }}
{{- end }}

{{- /* At most 40 characters, so that with the longest suffix and an ordinal it is still a label. */}}
{{- define "leaver.fullname" -}}
{{- if .Values.fullnameOverride }}
{{- .Values.fullnameOverride | trunc 40 | trimSuffix "-" }}
{{- else if contains (include "leaver.name" .) .Release.Name }}
{{- .Release.Name | trunc 40 | trimSuffix "-" }}
{{- else }}
{{- printf "%s-%s" .Release.Name (include "leaver.name" .) | trunc 40 | trimSuffix "-" }}
{{- end }}
{{- end }}

{{- define "leaver.serviceAccount" -}}
{{- if .Values.serviceAccount.create }}
{{- default (include "leaver.fullname" .) .Values.serviceAccount.name }}
{{- else }}
{{- default "default" .Values.serviceAccount.name }}
{{- end }}
{{- end }}

{{- /* What a pod of this release carries; with a role, what selects that role's. */}}
{{- define "leaver.selector" -}}
app.kubernetes.io/name: {{ include "leaver.name" .root }}
app.kubernetes.io/instance: {{ .root.Release.Name }}
{{- with .role }}
app.kubernetes.io/component: {{ . }}
{{- end }}
{{- end }}

{{- define "leaver.labels" -}}
{{ include "leaver.selector" . }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version | replace "+" "_" }}
{{- end }}

{{- define "leaver.image" -}}
{{- $image := .Values.image }}
{{- if $image.digest }}
{{- printf "%s@%s" $image.repository $image.digest }}
{{- else }}
{{- printf "%s:%s" $image.repository (default .Chart.AppVersion $image.tag) }}
{{- end }}
{{- end }}

{{- /* An address to listen on: IPv6 goes into brackets. */}}
{{- define "leaver.listen" -}}
{{- if contains ":" .bind }}{{ printf "[%s]:%d" .bind .port }}{{ else }}{{ printf "%s:%d" .bind .port }}{{ end }}
{{- end }}
