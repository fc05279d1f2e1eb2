{{/* What pods share: security, memory, secrets, spreading. */}}

{{/* Takes root and, where there is one, component: overrides are laid over, and never replace. */}}
{{- define "cloakroom.podSecurityContext" -}}
{{- $default := dict "runAsNonRoot" true "runAsUser" 65532 "runAsGroup" 65532 "fsGroup" 65532 "fsGroupChangePolicy" "OnRootMismatch" "seccompProfile" (dict "type" "RuntimeDefault") -}}
{{- $over := dict -}}
{{- with .component -}}{{- $over = deepCopy (index $.root.Values .).podSecurityContext -}}{{- end -}}
{{- toYaml (mergeOverwrite $default $over) -}}
{{- end -}}

{{- define "cloakroom.securityContext" -}}
{{- $default := dict "allowPrivilegeEscalation" false "readOnlyRootFilesystem" true "capabilities" (dict "drop" (list "ALL")) -}}
{{- $over := dict -}}
{{- with .component -}}{{- $over = deepCopy (index $.root.Values .).securityContext -}}{{- end -}}
{{- toYaml (mergeOverwrite $default $over) -}}
{{- end -}}

{{- define "cloakroom.pullSecrets" -}}
{{- with .Values.global.imagePullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{/* Bytes of a quantity: 512Mi, 1G, 1073741824. */}}
{{- define "cloakroom.bytes" -}}
{{- $text := toString . -}}
{{- $units := dict "Ki" 1024 "Mi" 1048576 "Gi" 1073741824 "Ti" 1099511627776 "k" 1000 "M" 1000000 "G" 1000000000 "T" 1000000000000 "" 1 -}}
{{- $unit := regexFind "[A-Za-z]*$" $text -}}
{{- if not (and (regexMatch "^[0-9]+(\\.[0-9]+)?[A-Za-z]*$" $text) (hasKey $units $unit)) -}}
{{- fail (printf "resources.limits.memory: %q is no size such as 512Mi" $text) -}}
{{- end -}}
{{- mulf (trimSuffix $unit $text | float64) (get $units $unit) | floor | int64 -}}
{{- end -}}

{{/* GOMEMLIMIT of a component: the collector works harder before the kernel ends the process. */}}
{{- define "cloakroom.goMemLimit" -}}
{{- $own := index .root.Values .component -}}
{{- with dig "limits" "memory" "" $own.resources -}}
{{- div (mul (include "cloakroom.bytes" . | int64) $own.goMemLimitPercent) 100 -}}
{{- end -}}
{{- end -}}

{{/* The credentials of a component as sources of one projected volume. */}}
{{- define "cloakroom.secretSources" -}}
{{- $s := .root.Values.secrets -}}
{{- $trial := .root.Values.trial.enabled -}}
{{- if eq .component "auth" }}
- secret: {name: {{ include "cloakroom.keysSecret" .root }}, items: [{key: key-encryption, path: key-encryption}, {key: mac, path: mac}]}
{{- if not $trial }}
- secret: {name: {{ $s.authDatabase.existingSecret }}, items: [{key: {{ $s.authDatabase.key }}, path: dsn}]}
{{- end }}
{{- with $s.smtp.existingSecret }}
- secret: {name: {{ . }}, items: [{key: {{ $s.smtp.key }}, path: smtp}]}
{{- end }}
{{- else if eq .component "files" }}
{{- if $trial }}
- secret: {name: {{ include "cloakroom.trialSecret" .root }}, items: [{key: access-key, path: access-key}, {key: secret-key, path: secret-key}]}
{{- else }}
- secret: {name: {{ $s.filesDatabase.existingSecret }}, items: [{key: {{ $s.filesDatabase.key }}, path: dsn}]}
- secret: {name: {{ $s.bucket.existingSecret }}, items: [{key: {{ $s.bucket.accessKey }}, path: access-key}, {key: {{ $s.bucket.secretKey }}, path: secret-key}]}
{{- end }}
{{- else if eq .component "gateway" }}
{{- with $s.redis.existingSecret }}
- secret: {name: {{ . }}, items: [{key: {{ $s.redis.key }}, path: redis-password}]}
{{- end }}
{{- end }}
{{- end -}}

{{/* Takes root, component, config (the ConfigMap). */}}
{{- define "cloakroom.volumes" -}}
- name: tmp
  emptyDir: {}
- name: config
  configMap: {name: {{ .config }}}
{{- with include "cloakroom.secretSources" . | trim }}
- name: secrets
  projected:
    defaultMode: 0440
    sources:
      {{- . | nindent 6 }}
{{- end }}
{{- end -}}

{{- define "cloakroom.mounts" -}}
- {name: tmp, mountPath: /tmp}
- {name: config, mountPath: /etc/cloakroom, readOnly: true}
{{- if include "cloakroom.secretSources" . | trim }}
- {name: secrets, mountPath: /run/secrets/cloakroom, readOnly: true}
{{- end }}
{{- end -}}

{{/* A trial's DSN is put together by the kubelet, from the Secret that the Job has made. */}}
{{- define "cloakroom.databaseEnv" -}}
{{- if and .root.Values.trial.enabled (ne .component "gateway") }}
- name: TRIAL_PASSWORD
  valueFrom: {secretKeyRef: {name: {{ include "cloakroom.trialSecret" .root }}, key: postgres-password}}
- name: TRIAL_DSN
  value: postgres://cloakroom:$(TRIAL_PASSWORD)@{{ include "cloakroom.fullname" .root }}-trial-postgres:5432/cloakroom?sslmode=disable
{{- end }}
{{- end -}}

{{- define "cloakroom.spread" -}}
{{- $own := index .root.Values .component -}}
{{- if $own.topologySpreadConstraints -}}
{{- tpl (toYaml $own.topologySpreadConstraints) .root -}}
{{- else -}}
{{- range $key := list "topology.kubernetes.io/zone" "kubernetes.io/hostname" }}
- topologyKey: {{ $key }}
  maxSkew: 1
  whenUnsatisfiable: ScheduleAnyway
  matchLabelKeys: [pod-template-hash]
  labelSelector:
    matchLabels:
      {{- include "cloakroom.selector" $ | nindent 6 }}
{{- end }}
{{- end -}}
{{- end -}}
