{{/* The StatefulSet, or what its rack is put behind. */}}
{{- define "cluster.name" -}}
{{ .Release.Name | trunc 40 | trimSuffix "-" }}
{{- end }}

{{/* What all pods of this cluster have, and no others: never anything that a new chart changes. */}}
{{- define "cluster.selector" -}}
app.kubernetes.io/name: group0-node
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "cluster.labels" -}}
{{ include "cluster.selector" . }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- end }}

{{/* Racks; a cluster without them is one that has no name. */}}
{{- define "cluster.racks" -}}
{{ .Values.racks | default (list (dict "name" "" "replicas" .Values.replicas)) | toJson }}
{{- end }}

{{/* The Secret of the nodes. */}}
{{- define "cluster.tls.secret" -}}
{{ .Values.tls.existingSecret | default (printf "%s-tls" (include "cluster.name" .)) }}
{{- end }}

{{/* Whether cert-manager issues. Unless it is told, a cluster whose certificates are the chart's keeps them though cert-manager comes
later: another authority from one moment to the next would part the nodes. */}}
{{- define "cluster.tls.certManager" -}}
{{- $wanted := .Values.tls.certManager.enabled }}
{{- if kindIs "bool" $wanted }}
{{- $wanted }}
{{- else }}
{{- $has := lookup "v1" "Secret" .Release.Namespace (include "cluster.tls.secret" .) }}
{{- and (.Capabilities.APIVersions.Has "cert-manager.io/v1") (eq (include "cluster.tls.issuable" $has) "true") }}
{{- end }}
{{- end }}

{{/* Whether the Secret of the nodes, as it was looked up, is absent or cert-manager's. */}}
{{- define "cluster.tls.issuable" -}}
{{- $issued := dig "metadata" "annotations" "cert-manager.io/certificate-name" "" (. | default dict) }}
{{- or (empty .) (not (empty $issued)) }}
{{- end }}

{{/* What nodes are told of the mounted files. */}}
{{- define "cluster.tls.files" -}}
{{ dict "certificate" "/etc/group0/tls/tls.crt" "keyfile" "/etc/group0/tls/tls.key" "truststore" "/etc/group0/tls/ca.crt" | toJson }}
{{- end }}
