{{- define "segment-fullstory.name" -}}
{{- if contains .Chart.Name .Release.Name }}{{ .Release.Name | trunc 63 | trimSuffix "-" }}{{ else }}{{ printf "%s-%s" .Release.Name .Chart.Name | trunc 63 | trimSuffix "-" }}{{ end }}
{{- end }}

{{- define "segment-fullstory.selector" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{/* What delivers beside the workers, where it is enabled: the commands of the Jobs, by the names of their values. */}}
{{- define "segment-fullstory.jobs" -}}
{{- $commands := dict "redrive" (list "redrive" "--to" "fullstory") "backfill" (list "backfill") }}
{{- range $name := keys $commands }}{{- if not (index $.Values $name).enabled }}{{- $_ := unset $commands $name }}{{ end }}{{ end }}
{{- toJson $commands }}
{{- end }}

{{- define "segment-fullstory.jobName" -}}
{{ printf "%s-%s" (include "segment-fullstory.name" .root | trunc 45 | trimSuffix "-") .name }}
{{- end }}

{{/* Not the workers': no Service, no budget for disruptions and no autoscaling counts a Job's pod. */}}
{{- define "segment-fullstory.jobSelector" -}}
app.kubernetes.io/name: {{ .root.Chart.Name }}-{{ .name }}
app.kubernetes.io/instance: {{ .root.Release.Name }}
{{- end }}

{{- define "segment-fullstory.labels" -}}
{{ include "segment-fullstory.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end }}

{{- define "segment-fullstory.serviceAccount" -}}
{{- if .Values.serviceAccount.create }}{{ default (include "segment-fullstory.name" .) .Values.serviceAccount.name }}{{ else }}{{ default "default" .Values.serviceAccount.name }}{{ end }}
{{- end }}

{{- define "segment-fullstory.image" -}}
{{- if .Values.image.digest }}{{ .Values.image.repository }}@{{ .Values.image.digest }}{{ else }}{{ .Values.image.repository }}:{{ default .Chart.AppVersion .Values.image.tag }}{{ end }}
{{- end }}

{{/* A number of a values file is a float there, and would become 4.194304e+06. */}}
{{- define "segment-fullstory.text" -}}
{{- if and (kindIs "float64" .) (eq (floor .) .) }}{{ int64 . }}{{ else }}{{ . }}{{ end }}
{{- end }}

{{/* What cannot work is said before anything is installed. */}}
{{- define "segment-fullstory.check" -}}
{{- range list "KAFKA__BOOTSTRAP_SERVERS" "KAFKA__TOPICS" "KAFKA__GROUP_ID" "KAFKA__DEAD_LETTER_TOPIC" }}
{{- if not (or (index $.Values.config .) $.Values.configFile.existingSecret) }}{{ fail (printf "config.%s is not set" .) }}{{ end }}
{{- end }}
{{- if not .Values.apiKey.existingSecret }}{{ fail "apiKey.existingSecret is not set: the Secret that holds FullStory's API key" }}{{ end }}
{{- $limit := dig "limits" "memory" "" .Values.resources }}
{{- if $limit }}
{{- $mib := trimSuffix "Mi" $limit | int }}
{{- if hasSuffix "Gi" $limit }}{{ $mib = mul 1024 (trimSuffix "Gi" $limit | int) }}{{ end }}
{{- $needed := add (int .Values.memoryBudgetMiB) 124 }}
{{- if lt $mib $needed }}{{ fail (printf "resources.limits.memory is %s: memoryBudgetMiB of %d needs at least %dMi" $limit (int .Values.memoryBudgetMiB) $needed) }}{{ end }}
{{- end }}
{{- if and .Values.autoscaling.enabled (not .Values.autoscaling.partitions) }}{{ fail "autoscaling.partitions is not set: the number of partitions of all topics together, beyond which workers have nothing to do" }}{{ end }}
{{- if and .Values.autoscaling.enabled .Values.autoscaling.partitions }}
{{- if gt (int .Values.autoscaling.minReplicas) (int .Values.autoscaling.partitions) }}{{ fail "autoscaling.minReplicas is above autoscaling.partitions" }}{{ end }}
{{- end }}
{{- end }}
