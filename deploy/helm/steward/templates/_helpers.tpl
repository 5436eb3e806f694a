{{- define "steward.name" -}}
{{- .Release.Name | trunc 40 | trimSuffix "-" -}}
{{- end -}}

{{- define "steward.secret" -}}
{{- if .Values.existingSecret -}}
{{- .Values.existingSecret -}}
{{- else -}}
{{- if not .Values.secrets -}}
{{- fail "set existingSecret to a Secret with SECRET_KEY, ENCRYPTION_KEY, DATABASE_URL and ANTHROPIC_API_KEY, or give them in secrets" -}}
{{- end -}}
{{- include "steward.name" . -}}-settings
{{- end -}}
{{- end -}}

{{/* What tells the pods of a role from others; it must never change. */}}
{{- define "steward.selector" -}}
app.kubernetes.io/name: steward
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .role }}
{{- end -}}

{{- define "steward.labels" -}}
app.kubernetes.io/name: steward
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ .Chart.Name }}-{{ .Chart.Version }}
{{- end -}}

{{/* The servers of one role. They are a StatefulSet, because each has a data folder of its own which it needs again:
     its id among the servers, and the files of the sessions whose home it is. */}}
{{- define "steward.servers" -}}
{{- $root := .root -}}
{{- $role := .role -}}
{{- $values := index $root.Values $role -}}
{{- $grace := index $root.Values.config "SHUTDOWN_GRACE_SECONDS" | default "20" | int -}}
{{- $delay := index $root.Values.config "SHUTDOWN_DELAY_SECONDS" | default "0" | int -}}
{{- if le (int $values.terminationGracePeriodSeconds) (add $delay $grace | int) -}}
{{- fail (printf "%s.terminationGracePeriodSeconds must be more than SHUTDOWN_DELAY_SECONDS and SHUTDOWN_GRACE_SECONDS, which are %d together" $role (add $delay $grace)) -}}
{{- end -}}
{{- $contained := eq $root.Values.sandbox.mode "bwrap" -}}
apiVersion: apps/v1
kind: StatefulSet
metadata:
  name: {{ include "steward.name" $root }}-{{ $role }}
  labels:
    {{- include "steward.labels" $root | nindent 4 }}
    app.kubernetes.io/component: {{ $role }}
spec:
  serviceName: {{ include "steward.name" $root }}-{{ $role }}-pods
  {{- if not (and $values.autoscaling $values.autoscaling.enabled) }}
  replicas: {{ $values.replicas }}
  {{- end }}
  # They take up by themselves and do not wait for each other; migrations are done by one at a time.
  podManagementPolicy: Parallel
  updateStrategy:
    type: RollingUpdate
  persistentVolumeClaimRetentionPolicy:
    whenScaled: Retain
    whenDeleted: Retain
  selector:
    matchLabels:
      {{- include "steward.selector" . | nindent 6 }}
  template:
    metadata:
      labels:
        {{- include "steward.labels" $root | nindent 8 }}
        app.kubernetes.io/component: {{ $role }}
        {{- with $root.Values.podLabels }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
      annotations:
        # Settings are read at start, so a change of them is a new start.
        steward/settings: {{ printf "%s%s" (toJson $root.Values.config) (toJson $root.Values.secrets) | sha256sum }}
        {{- with $root.Values.podAnnotations }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
    spec:
      serviceAccountName: {{ include "steward.name" $root }}
      automountServiceAccountToken: false
      enableServiceLinks: false
      {{- if $contained }}
      hostUsers: false
      {{- end }}
      terminationGracePeriodSeconds: {{ $values.terminationGracePeriodSeconds }}
      securityContext:
        runAsNonRoot: true
        runAsUser: 10001
        runAsGroup: 10001
        fsGroup: 10001
        fsGroupChangePolicy: OnRootMismatch
        seccompProfile:
          {{- if $contained }}
          {{- toYaml $root.Values.sandbox.seccompProfile | nindent 10 }}
          {{- else }}
          type: RuntimeDefault
          {{- end }}
        {{- if $contained }}
        appArmorProfile:
          {{- toYaml $root.Values.sandbox.appArmorProfile | nindent 10 }}
        {{- end }}
      {{- with $root.Values.imagePullSecrets }}
      imagePullSecrets:
        {{- toYaml . | nindent 8 }}
      {{- end }}
      topologySpreadConstraints:
        - maxSkew: 1
          topologyKey: kubernetes.io/hostname
          whenUnsatisfiable: ScheduleAnyway
          labelSelector:
            matchLabels:
              {{- include "steward.selector" . | nindent 14 }}
      containers:
        - name: steward
          image: "{{ $root.Values.image.repository }}:{{ $root.Values.image.tag | default $root.Chart.AppVersion }}"
          imagePullPolicy: {{ $root.Values.image.pullPolicy }}
          args: ["serve", "--role", {{ $role | quote }}]
          env:
            - { name: API_HOST, value: "0.0.0.0" }
            - { name: API_PORT, value: "8000" }
            # Below the mount: a volume's own folder is root's, and the server takes none that is not its own.
            - { name: DATA_DIR, value: /var/lib/steward/data }
            - { name: METRICS_HOST, value: "0.0.0.0" }
            - { name: METRICS_PORT, value: {{ $root.Values.metrics.port | quote }} }
            - { name: SANDBOX, value: {{ $root.Values.sandbox.mode | quote }} }
            {{- with $root.Values.extraEnv }}
            {{- toYaml . | nindent 12 }}
            {{- end }}
          envFrom:
            - configMapRef:
                name: {{ include "steward.name" $root }}-settings
            - secretRef:
                name: {{ include "steward.secret" $root }}
          ports:
            - { name: http, containerPort: 8000 }
            - { name: metrics, containerPort: {{ $root.Values.metrics.port }} }
          # The first start of a version may have to wait for migrations.
          startupProbe:
            httpGet: { path: /health/live, port: http }
            periodSeconds: 2
            failureThreshold: 150
          livenessProbe:
            httpGet: { path: /health/live, port: http }
            periodSeconds: 10
            timeoutSeconds: 5
            failureThreshold: 6
          readinessProbe:
            httpGet: { path: /health/ready, port: http }
            periodSeconds: 5
            timeoutSeconds: 5
            failureThreshold: 6
          {{- with $values.resources }}
          resources:
            {{- toYaml . | nindent 12 }}
          {{- end }}
          securityContext:
            privileged: false
            allowPrivilegeEscalation: false
            readOnlyRootFilesystem: true
            capabilities:
              drop: [ALL]
            {{- if $contained }}
            # A sandbox has a /proc of its own, and the kernel lets it only where nothing lies over this one.
            procMount: Unmasked
            {{- end }}
          volumeMounts:
            - { name: data, mountPath: /var/lib/steward }
            - { name: tmp, mountPath: /tmp }
      volumes:
        - name: tmp
          emptyDir: { sizeLimit: 2Gi }
      {{- with $values.nodeSelector }}
      nodeSelector:
        {{- toYaml . | nindent 8 }}
      {{- end }}
      {{- with $values.tolerations }}
      tolerations:
        {{- toYaml . | nindent 8 }}
      {{- end }}
      {{- with $values.affinity }}
      affinity:
        {{- toYaml . | nindent 8 }}
      {{- end }}
  volumeClaimTemplates:
    - metadata:
        name: data
      spec:
        accessModes: [ReadWriteOnce]
        {{- with $values.persistence.storageClass }}
        storageClassName: {{ . | quote }}
        {{- end }}
        resources:
          requests:
            storage: {{ $values.persistence.size }}
{{- end -}}
