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
