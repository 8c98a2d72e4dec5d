{{- /* Environment of every container: `env:NAME` of the configuration, from Secrets. */}}
{{- define "leaver.env" -}}
{{- $root := .root -}}
- name: DATABASE_URL
  valueFrom:
    secretKeyRef: { name: {{ .database.existingSecret | quote }}, key: {{ .database.key | quote }} }
{{- range $name, $from := $root.Values.secretEnv }}
- name: {{ $name }}
  valueFrom:
    secretKeyRef: { name: {{ $from.secret | quote }}, key: {{ $from.key | quote }} }
{{- end }}
{{- range $name, $value := $root.Values.env }}
- name: {{ $name }}
  value: {{ $value | quote }}
{{- end }}
{{- end }}

{{- define "leaver.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: { drop: [ALL] }
{{- end }}

{{- /* What every pod has in common; serviceAccountName is left to the caller. */}}
{{- define "leaver.podCommon" -}}
automountServiceAccountToken: false
# Variables that begin with LEAVER_ are ours; those that Kubernetes makes of Services are not wanted.
enableServiceLinks: false
securityContext: {{- .Values.podSecurityContext | toYaml | nindent 2 }}
{{- with .Values.imagePullSecrets }}
imagePullSecrets: {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{- define "leaver.secretVolumes" }}
{{- range $name, $secret := .Values.secretFiles }}
- name: secret-{{ $name }}
  secret: { secretName: {{ $secret | quote }}, defaultMode: 0440 }
{{- end }}
{{- end }}

{{- define "leaver.secretMounts" }}
{{- range $name, $secret := .Values.secretFiles }}
- { name: secret-{{ $name }}, mountPath: /run/leaver/{{ $name }}, readOnly: true }
{{- end }}
{{- end }}

{{- /* The pod of a role: root, role (the verb that starts it), values (those of the role). */}}
{{- define "leaver.pod" -}}
{{- $root := .root }}
{{- $name := include "leaver.fullname" $root -}}
metadata:
  labels: {{- include "leaver.selector" . | nindent 4 }}
  annotations:
    # The configuration is read once, at start: another one is another pod.
    checksum/config: {{ include "leaver.config" $root | sha256sum }}
    {{- with .values.podAnnotations }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
spec:
  {{- include "leaver.podCommon" $root | nindent 2 }}
  serviceAccountName: {{ include "leaver.serviceAccount" $root }}
  # A stop lets what is under way finish, for at most 30 s; before that comes the pause below.
  terminationGracePeriodSeconds: 45
  {{- with .values.priorityClassName }}
  priorityClassName: {{ . | quote }}
  {{- end }}
  {{- with .values.nodeSelector }}
  nodeSelector: {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .values.tolerations }}
  tolerations: {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .values.affinity }}
  affinity: {{- toYaml . | nindent 4 }}
  {{- end }}
  topologySpreadConstraints:
    - maxSkew: 1
      topologyKey: kubernetes.io/hostname
      whenUnsatisfiable: ScheduleAnyway
      labelSelector:
        matchLabels: {{- include "leaver.selector" . | nindent 10 }}
  containers:
    - name: {{ .role }}
      image: {{ include "leaver.image" $root | quote }}
      imagePullPolicy: {{ $root.Values.image.pullPolicy }}
      command: [leaver]
      args: [{{ .role }}, --config, /etc/leaver/leaver.yaml]
      env:
        {{- include "leaver.env" (dict "root" $root "database" $root.Values.database) | nindent 8 }}
        {{- if eq .role "revoker" }}
        - name: POD_NAME
          valueFrom: { fieldRef: { fieldPath: metadata.name } }
        {{- end }}
      ports:
        {{- if eq .role "sync-worker" }}
        - { name: public, containerPort: 8470 }
        {{- else if eq .role "console" }}
        - { name: admin, containerPort: 8471 }
        {{- end }}
        - { name: probes, containerPort: 8472 }
      startupProbe:
        httpGet: { path: /readyz, port: probes }
        periodSeconds: 1
        timeoutSeconds: 3
        failureThreshold: 60
      readinessProbe:
        httpGet: { path: /readyz, port: probes }
        periodSeconds: 5
        timeoutSeconds: 3
        failureThreshold: 2
      # Says nothing of the database: a restart would not bring it back.
      livenessProbe:
        httpGet: { path: /healthz, port: probes }
        periodSeconds: 10
        timeoutSeconds: 3
      {{- if and (ne .role "revoker") (semverCompare ">=1.30-0" $root.Capabilities.KubeVersion.Version) }}
      # Requests still come until every node has heard that this pod goes.
      lifecycle:
        preStop: { sleep: { seconds: 5 } }
      {{- end }}
      resources: {{- toYaml .values.resources | nindent 8 }}
      securityContext: {{- include "leaver.containerSecurity" . | nindent 8 }}
      volumeMounts:
        - { name: config, mountPath: /etc/leaver, readOnly: true }
        - { name: data, mountPath: /var/lib/leaver }
        {{- if eq .role "revoker" }}
        - { name: identity, mountPath: /var/lib/leaver/id, subPathExpr: $(POD_NAME), readOnly: true }
        {{- else if eq .role "console" }}
        - { name: admin-token, mountPath: /var/lib/leaver/admin.token, subPath: admin.token, readOnly: true }
        {{- end }}
        {{- include "leaver.secretMounts" $root | indent 8 }}
        {{- with .values.volumeMounts }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
  volumes:
    - name: config
      configMap: { name: {{ $name }} }
    # Nothing durable: who this process is, and the addresses that it bound.
    - name: data
      emptyDir: { sizeLimit: 16Mi }
    {{- if eq .role "revoker" }}
    - name: identity
      configMap: { name: {{ $name }}-revoker-ids }
    {{- else if eq .role "console" }}
    - name: admin-token
      secret:
        secretName: {{ $root.Values.adminToken.existingSecret | quote }}
        items: [{ key: {{ $root.Values.adminToken.key | quote }}, path: admin.token }]
        defaultMode: 0440
    {{- end }}
    {{- include "leaver.secretVolumes" $root | indent 4 }}
    {{- with .values.volumes }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
{{- end }}
