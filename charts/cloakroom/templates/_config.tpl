{{/* The boot object of each service, as the chart's values say, with config.<component> laid over its spec. */}}

{{- define "cloakroom.drain" -}}
{{- $d := (index .root.Values .component).drain -}}
drain: {delay: {{ $d.delaySeconds }}s, timeout: {{ $d.timeoutSeconds }}s}
{{- with .root.Values.config.otlpEndpoint }}
telemetry: {otlpEndpoint: {{ . | quote }}}
{{- end }}
{{- end -}}

{{- define "cloakroom.store" -}}
store:
  postgres:
    dsn: {{ if .root.Values.trial.enabled }}{env: TRIAL_DSN}{{ else }}{file: /run/secrets/cloakroom/dsn}{{ end }}
    migrate: Command
{{- end -}}

{{- define "cloakroom.spec.gateway" -}}
{{- $name := include "cloakroom.fullname" .root -}}
{{- $v := .root.Values -}}
listeners:
  public: {address: ":8080"}
  ops: {address: ":9090"}
upstreams:
  auth:
    url: http://{{ $name }}-auth:8081
    internalURL: http://{{ $name }}-auth:8082
  files:
    url: http://{{ $name }}-files:8083
trustedProxies:
  {{- toYaml $v.config.trustedProxies | nindent 2 }}
{{- if or $v.redis.addresses (and $v.trial.enabled $v.trial.redis.enabled) }}
limits:
  store:
    redis:
      addresses: {{ default (list (printf "%s-trial-redis:6379" $name)) $v.redis.addresses | toJson }}
      prefix: {{ $name }}
      {{- if $v.secrets.redis.existingSecret }}
      password: {file: /run/secrets/cloakroom/redis-password}
      {{- end }}
      {{- if $v.redis.tls }}
      tls: {}
      {{- end }}
{{- end }}
{{ include "cloakroom.drain" . }}
{{- end -}}

{{- define "cloakroom.spec.auth" -}}
{{- $v := .root.Values -}}
listeners:
  public: {address: ":8081"}
  internal: {address: ":8082"}
  ops: {address: ":9091"}
{{ include "cloakroom.store" . }}
keyEncryption: {file: /run/secrets/cloakroom/key-encryption}
macKeys: {file: /run/secrets/cloakroom/mac}
issuer: {{ $v.config.issuer | quote }}
audiences: {{ $v.config.audiences | toJson }}
publicBaseURL: {{ $v.config.publicBaseURL | quote }}
{{ include "cloakroom.drain" . }}
{{- end -}}

{{- define "cloakroom.spec.files" -}}
{{- $v := .root.Values -}}
{{- $name := include "cloakroom.fullname" .root -}}
listeners:
  public: {address: ":8083"}
  ops: {address: ":9092"}
{{ include "cloakroom.store" . }}
blobs:
  s3:
    endpoint: {{ ternary (printf "http://%s-trial-bucket:7070" $name) $v.bucket.endpoint $v.trial.enabled | quote }}
    bucket: {{ default "cloakroom" $v.bucket.name }}
    region: {{ $v.bucket.region }}
    pathStyle: {{ $v.bucket.pathStyle }}
    accessKey: {file: /run/secrets/cloakroom/access-key}
    secretKey: {file: /run/secrets/cloakroom/secret-key}
publicBaseURL: {{ $v.config.publicBaseURL | quote }}
verifier:
  issuer: {{ $v.config.issuer | quote }}
  audiences: {{ $v.config.audiences | toJson }}
  internalURL: http://{{ $name }}-auth:8082
{{ include "cloakroom.drain" . }}
{{- end -}}

{{/* Takes root and component. */}}
{{- define "cloakroom.boot" -}}
{{- $kinds := dict "gateway" "GatewayConfig" "auth" "AuthConfig" "files" "FilesConfig" -}}
{{- $spec := include (printf "cloakroom.spec.%s" .component) . | fromYaml -}}
{{- if $spec.Error -}}{{- fail (printf "config of %s: %s" .component $spec.Error) -}}{{- end -}}
{{- $spec = mergeOverwrite $spec (deepCopy (index .root.Values.config .component)) -}}
{{- toYaml (dict "apiVersion" "cloakroom.dev/v1alpha1" "kind" (get $kinds .component) "metadata" (dict "name" .component) "spec" $spec) -}}
{{- end -}}

{{/* The kinds each service reads, besides its boot object. */}}
{{- define "cloakroom.kinds" -}}
{{- get (dict "gateway" "Route TokenPolicy RateLimitPolicy" "auth" "SessionPolicy" "files" "StoragePolicy") . -}}
{{- end -}}

{{/* The live objects a component reads, as {objects: [...]}. Objects of the values take the place of default ones. */}}
{{- define "cloakroom.live" -}}
{{- $kinds := include "cloakroom.kinds" .component | splitList " " -}}
{{- $named := dict -}}
{{- if .root.Values.config.defaultObjects -}}
{{- range $path, $_ := .root.Files.Glob "files/objects/*.yaml" -}}
{{- range $text := regexSplit "(?m)^---$" ($.root.Files.Get $path) -1 -}}
{{- $object := fromYaml $text -}}
{{- if eq $object.kind "TokenPolicy" -}}
{{- $_ := set $object.spec "issuer" $.root.Values.config.issuer -}}
{{- $_ := set $object.spec "audiences" $.root.Values.config.audiences -}}
{{- end -}}
{{- if has $object.kind $kinds -}}{{- $_ := set $named (printf "%s/%s" $object.kind $object.metadata.name) $object -}}{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- range $object := .root.Values.config.objects -}}
{{- if has $object.kind $kinds -}}{{- $_ := set $named (printf "%s/%s" $object.kind $object.metadata.name) $object -}}{{- end -}}
{{- end -}}
{{- $objects := list -}}
{{- range $key := keys $named | sortAlpha -}}{{- $objects = append $objects (get $named $key) -}}{{- end -}}
{{- toYaml (dict "objects" $objects) -}}
{{- end -}}

{{/* The folder of a component: its boot object and, unless they are custom resources, its live ones. */}}
{{- define "cloakroom.folder" -}}
boot.yaml: |
  {{- include "cloakroom.boot" . | nindent 2 }}
{{- if eq .root.Values.config.source "ConfigMap" }}
{{- range (include "cloakroom.live" . | fromYaml).objects }}
{{ printf "%s-%s.yaml" (lower .kind) .metadata.name }}: |
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}
{{- end -}}

{{- define "cloakroom.serveArgs" -}}
- serve
- --config=/etc/cloakroom
{{- if eq .root.Values.config.source "CustomResources" }}
- --config=crd://{{ include "cloakroom.namespace" .root }}
{{- end }}
- --log-level={{ (index .root.Values .component).logLevel }}
{{- end -}}
