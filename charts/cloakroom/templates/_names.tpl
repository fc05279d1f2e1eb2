{{/* Names, labels and images. */}}

{{- define "cloakroom.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 40 | trimSuffix "-" -}}
{{- end -}}

{{- define "cloakroom.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 40 | trimSuffix "-" -}}
{{- else if contains (include "cloakroom.name" .) .Release.Name -}}
{{- .Release.Name | trunc 40 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name (include "cloakroom.name" .) | trunc 40 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- define "cloakroom.namespace" -}}
{{- default .Release.Namespace .Values.namespaceOverride -}}
{{- end -}}

{{/* What selects pods; it never changes. Takes root and component. */}}
{{- define "cloakroom.selector" -}}
app.kubernetes.io/name: {{ include "cloakroom.name" .root }}
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .component }}
{{- end -}}

{{/* The metadata of an object. Takes root, component, name, and perhaps hook (a weight), hookOn, hookDelete, labels, annotations. */}}
{{- define "cloakroom.metadata" -}}
{{- $root := .root -}}
name: {{ .name }}
namespace: {{ include "cloakroom.namespace" $root }}
labels:
  {{- include "cloakroom.selector" . | nindent 2 }}
  app.kubernetes.io/part-of: cloakroom
  app.kubernetes.io/version: {{ $root.Chart.AppVersion | quote }}
  {{- if $root.Values.hooks.enabled }}
  app.kubernetes.io/managed-by: {{ $root.Release.Service }}
  helm.sh/chart: {{ printf "%s-%s" $root.Chart.Name $root.Chart.Version | replace "+" "_" }}
  {{- end }}
  {{- with .labels }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
  {{- with $root.Values.commonLabels }}
  {{- tpl (toYaml .) $root | nindent 2 }}
  {{- end }}
{{- $annotations := dict -}}
{{- with $root.Values.commonAnnotations -}}
{{- $annotations = tpl (toYaml .) $root | fromYaml -}}
{{- end -}}
{{- if hasKey . "hook" -}}
{{- $annotations = merge $annotations $root.Values.hooks.annotations -}}
{{- if $root.Values.hooks.enabled -}}
{{- $_ := set $annotations "helm.sh/hook" (default "pre-install,pre-upgrade" .hookOn) -}}
{{- $_ := set $annotations "helm.sh/hook-weight" (.hook | toString) -}}
{{- $_ := set $annotations "helm.sh/hook-delete-policy" (default "before-hook-creation" .hookDelete) -}}
{{- end -}}
{{- end -}}
{{- $annotations = merge $annotations (default dict .annotations) -}}
{{- with $annotations }}
annotations:
  {{- toYaml . | nindent 2 }}
{{- end -}}
{{- end -}}

{{/* An image by tag or digest. Takes root and component. */}}
{{- define "cloakroom.image" -}}
{{- $image := (index .root.Values .component).image -}}
{{- $registry := default .root.Values.image.registry .root.Values.global.imageRegistry -}}
{{- $name := ternary (printf "%s/%s" $registry $image.repository) $image.repository (ne $registry "") -}}
{{- if $image.digest -}}
{{- printf "%s@%s" $name $image.digest -}}
{{- else -}}
{{- printf "%s:%s" $name (coalesce $image.tag .root.Values.image.tag .root.Chart.AppVersion) -}}
{{- end -}}
{{- end -}}

{{/* The image of a trial part: global.imageRegistry goes in front. Takes root and image. */}}
{{- define "cloakroom.trialImage" -}}
{{- with .root.Values.global.imageRegistry -}}{{ . }}/{{- end -}}{{ .image }}
{{- end -}}

{{- define "cloakroom.serviceAccount" -}}
{{- $own := (index .root.Values .component).serviceAccount -}}
{{- if $own.create -}}
{{- default (printf "%s-%s" (include "cloakroom.fullname" .root) .component) $own.name -}}
{{- else -}}
{{- default "default" $own.name -}}
{{- end -}}
{{- end -}}

{{- define "cloakroom.keysSecret" -}}
{{- default (printf "%s-keys" (include "cloakroom.fullname" .)) .Values.secrets.keys.existingSecret -}}
{{- end -}}

{{- define "cloakroom.trialSecret" -}}
{{- printf "%s-trial" (include "cloakroom.fullname" .) -}}
{{- end -}}

{{/* Before a trial's database is there no Job could migrate it. */}}
{{- define "cloakroom.migrations" -}}
{{- if and .Values.trial.enabled (eq .Values.migrations.mode "job") -}}initContainer{{- else -}}{{ .Values.migrations.mode }}{{- end -}}
{{- end -}}
