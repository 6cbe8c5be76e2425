{{/* What a pod is in which the program runs: `root`, the `name` of its container, its `args`, and whether it `isWorker`. */}}
{{- define "segment-fullstory.pod" }}
{{- $args := .args }}{{ $name := .name }}{{ $isWorker := .isWorker }}
{{- with .root }}
      serviceAccountName: {{ include "segment-fullstory.serviceAccount" . }}
      automountServiceAccountToken: false
      enableServiceLinks: false
      terminationGracePeriodSeconds: {{ add (int .Values.shutdownGraceSeconds) 10 }}
      {{- with .Values.imagePullSecrets }}
      imagePullSecrets: {{- toYaml . | nindent 8 }}
      {{- end }}
      {{- with .Values.priorityClassName }}
      priorityClassName: {{ . }}
      {{- end }}
      securityContext:
        runAsNonRoot: true
        runAsUser: 10001
        runAsGroup: 10001
        fsGroup: 10001
        seccompProfile: { type: RuntimeDefault }
      containers:
        - name: {{ $name }}
          image: {{ include "segment-fullstory.image" . | quote }}
          imagePullPolicy: {{ .Values.image.pullPolicy }}
          {{- with $args }}
          args: {{- toYaml . | nindent 12 }}
          {{- end }}
          securityContext:
            allowPrivilegeEscalation: false
            readOnlyRootFilesystem: true
            capabilities: { drop: [ALL] }
          env:
            - { name: PROCESSOR_HTTP__PORT, value: "8080" }
            - { name: PROCESSOR_FULLSTORY__API_KEY_FILE, value: {{ printf "/etc/segment-fullstory/key/%s" .Values.apiKey.key | quote }} }
            - { name: PROCESSOR_MEMORY__BUDGET_BYTES, value: {{ mul (int .Values.memoryBudgetMiB) 1048576 | quote }} }
            - { name: PROCESSOR_SHUTDOWN__GRACE_S, value: {{ .Values.shutdownGraceSeconds | quote }} }
            {{- with .Values.properties }}
            {{- if and .existingSecret .kafkaKey }}
            - { name: PROCESSOR_KAFKA__PROPERTIES_FILE, value: {{ printf "/etc/segment-fullstory/properties/%s" .kafkaKey | quote }} }
            {{- end }}
            {{- if and .existingSecret .schemaRegistryKey }}
            - { name: PROCESSOR_SCHEMA_REGISTRY__PROPERTIES_FILE, value: {{ printf "/etc/segment-fullstory/properties/%s" .schemaRegistryKey | quote }} }
            {{- end }}
            {{- end }}
            {{- if .Values.schemaCache.enabled }}
            - { name: PROCESSOR_SCHEMA_REGISTRY__CACHE_DIR, value: /var/cache/segment-fullstory }
            {{- end }}
            {{- range $name, $value := .Values.config }}
            - { name: {{ printf "PROCESSOR_%s" $name }}, value: {{ include "segment-fullstory.text" $value | quote }} }
            {{- end }}
            {{- with .Values.extraEnv }}{{ toYaml . | nindent 12 }}{{ end }}
          ports:
            - { name: http, containerPort: 8080 }
          {{- if $isWorker }}
          # Alive is who polls Kafka; ready is who has joined the group. Neither asks FullStory: its outage must restart nothing.
          startupProbe:
            httpGet: { path: /livez, port: http }
            periodSeconds: 2
            failureThreshold: 60
          livenessProbe:
            httpGet: { path: /livez, port: http }
            periodSeconds: 15
            timeoutSeconds: 5
            failureThreshold: 4
          readinessProbe:
            httpGet: { path: /readyz, port: http }
            periodSeconds: 5
            timeoutSeconds: 5
            failureThreshold: 3
          {{- end }}
          resources: {{- toYaml .Values.resources | nindent 12 }}
          volumeMounts:
            - { name: key, mountPath: /etc/segment-fullstory/key, readOnly: true }
            {{- if .Values.properties.existingSecret }}
            - { name: properties, mountPath: /etc/segment-fullstory/properties, readOnly: true }
            {{- end }}
            {{- if .Values.configFile.existingSecret }}
            - { name: config, mountPath: /etc/segment-fullstory/config, readOnly: true }
            {{- end }}
            {{- if .Values.schemaCache.enabled }}
            - { name: schemas, mountPath: /var/cache/segment-fullstory }
            {{- end }}
            {{- with .Values.extraVolumeMounts }}{{ toYaml . | nindent 12 }}{{ end }}
      volumes:
        - name: key
          secret:
            secretName: {{ .Values.apiKey.existingSecret }}
            defaultMode: 0440
        {{- if .Values.properties.existingSecret }}
        - name: properties
          secret:
            secretName: {{ .Values.properties.existingSecret }}
            defaultMode: 0440
        {{- end }}
        {{- if .Values.configFile.existingSecret }}
        - name: config
          secret:
            secretName: {{ .Values.configFile.existingSecret }}
            defaultMode: 0440
        {{- end }}
        {{- if .Values.schemaCache.enabled }}
        - name: schemas
          emptyDir: { sizeLimit: {{ .Values.schemaCache.sizeLimit }} }
        {{- end }}
        {{- with .Values.extraVolumes }}{{ toYaml . | nindent 8 }}{{ end }}
      {{- with .Values.nodeSelector }}
      nodeSelector: {{- toYaml . | nindent 8 }}
      {{- end }}
      {{- with .Values.tolerations }}
      tolerations: {{- toYaml . | nindent 8 }}
      {{- end }}
      {{- with .Values.affinity }}
      affinity: {{- toYaml . | nindent 8 }}
      {{- end }}
{{- end }}
{{- end }}

{{/* The program's options that name the settings file, where there is one. */}}
{{- define "segment-fullstory.configOptions" -}}
{{- if .Values.configFile.existingSecret }}{{ list "--config" (printf "/etc/segment-fullstory/config/%s" .Values.configFile.key) | toJson }}{{ else }}[]{{ end }}
{{- end }}
