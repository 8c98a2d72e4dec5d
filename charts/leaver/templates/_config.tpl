{{- /* leaver.yaml and policy.yaml, as the keys of a ConfigMap. */}}
{{- define "leaver.config" -}}
{{- include "leaver.refuseSecrets" (dict "at" "config" "key" "" "value" .Values.config) }}
{{- $bind := .Values.bind }}
{{- $http := dict
    "public" (include "leaver.listen" (dict "bind" $bind "port" 8470))
    "admin" (include "leaver.listen" (dict "bind" $bind "port" 8471))
    "probes" (include "leaver.listen" (dict "bind" $bind "port" 8472)) }}
{{- $ours := dict "data_dir" "/var/lib/leaver" "http" $http "database" (dict "url" "env:DATABASE_URL") }}
{{- if .Values.policy }}
{{- $ours = set $ours "policy" "policy.yaml" }}
{{- end -}}
leaver.yaml: |
  {{- merge $ours (deepCopy .Values.config) | toYaml | nindent 2 }}
{{- with .Values.policy }}
policy.yaml: |
  {{- . | nindent 2 }}
{{- end }}
{{- end }}

{{- /* Values end up in a ConfigMap and in the release's history: a secret among them is refused. Which keys hold secrets is
       told by their names, as in the program. */}}
{{- define "leaver.refuseSecrets" -}}
{{- $at := .at }}
{{- $key := .key | lower | replace "-" "_" }}
{{- $value := .value }}
{{- if kindIs "map" $value }}
  {{- range $name, $below := $value }}
  {{- include "leaver.refuseSecrets" (dict "at" (printf "%s.%s" $at $name) "key" $name "value" $below) }}
  {{- end }}
{{- else if kindIs "slice" $value }}
  {{- range $value }}
  {{- include "leaver.refuseSecrets" (dict "at" $at "key" $key "value" .) }}
  {{- end }}
{{- else if kindIs "string" $value }}
  {{- $named := or (has $key (list "token" "tokens" "password" "passphrase" "secret"))
      (regexMatch "_(key|secret|token|tokens|password)$" $key) }}
  {{- $reference := or (hasPrefix "env:" $value) (hasPrefix "file:" $value) }}
  {{- if or (and $named (not $reference)) (regexMatch "://[^/@\\s]*:[^@\\s]+@" $value) }}
  {{- fail (printf "%s holds a secret: write env:NAME and name the Secret in secretEnv, or file:PATH and secretFiles" $at) }}
  {{- end }}
{{- end }}
{{- end }}
