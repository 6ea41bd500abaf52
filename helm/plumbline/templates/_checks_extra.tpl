{{/* Checks of extraEnv, extraVolumes and extraVolumeMounts. */}}

{{- define "plumbline.checkExtra" -}}
{{- include "plumbline.checkEnv" .Values.extraEnv }}
{{- include "plumbline.checkVolumes" .Values.extraVolumes }}
{{- include "plumbline.checkMounts" . }}
{{- end }}

{{/* Takes extraEnv. The daemon reads names that begin with PLUMBLINE__ in any case. */}}
{{- define "plumbline.checkEnv" -}}
{{- $names := list }}
{{- range $i, $env := . }}
{{- $key := printf "extraEnv[%d]" $i }}
{{- $names = append $names $env.name }}
{{- include "plumbline.checkFormat" (list "variable" (printf "%s.name" $key) $env.name) }}
{{- $setting := upper $env.name | trimPrefix "PLUMBLINE__" | splitList "__" }}
{{- $ours := hasPrefix "PLUMBLINE__" (upper $env.name) }}
{{- if eq (upper $env.name) "PLUMBLINE__KAFKA__INSTANCE" }}
{{- fail (printf "%s is %s, which several pods must not share: remove it and set workload to StatefulSet, which gives each pod a name of its own" $key $env.name) }}
{{- end }}
{{- if and $ours (regexMatch "^PLUMBLINE__(KAFKA(__(BOOTSTRAP_SERVERS|PREFIX|LOGS|PARTITIONS))?|HTTP(__(HOST|PORT))?|STORE(__URL)?|REPLAY(__(DIRECTORY|WORKERS|DEADLINE_MINUTES|MODEL(__.*)?))?)$" (upper $env.name)) }}
{{- fail (printf "%s is %s, which the chart reads itself: set config.%s instead" $key $env.name (join "." $setting | lower)) }}
{{- end }}
{{- if hasKey $env "valueFrom" }}
{{- if ne (len $env.valueFrom) 1 }}
{{- fail (printf "%s.valueFrom has %d sources: give exactly one of secretKeyRef, configMapKeyRef and fieldRef" $key (len $env.valueFrom)) }}
{{- end }}
{{- if hasKey $env "value" }}
{{- fail (printf "%s (%s) has value and valueFrom: remove one of them" $key $env.name) }}
{{- end }}
{{- include "plumbline.checkFields" (list (printf "%s.valueFrom" $key) $env.valueFrom) }}
{{- else if and $ours (not (hasSuffix "__FILE" (upper $env.name))) (regexMatch "^PLUMBLINE__(KAFKA__CLIENT__(.*_)?(PASSWORD|PASSWD|PASSPHRASE|SECRET|JAAS|KEY_PEM|SSL_KEY|OAUTHBEARER_CONFIG|TOKEN)(_.*)?|STORE__PASSWORD|REPLAY__ACTIONS__SECRET|NOTIFICATIONS__TARGETS__.*__(URL|TOKEN|ROUTING_KEY|PASSWORD))$" (upper $env.name)) }}
{{- fail (printf "%s (%s) is a secret and must not be in the values: store it in a Secret, and set valueFrom.secretKeyRef, or credentials.environmentSecret" $key $env.name) }}
{{- end }}
{{- end }}
{{- include "plumbline.checkUnique" (list "extraEnv" $names) }}
{{- end }}

{{/* Takes extraVolumes. */}}
{{- define "plumbline.checkVolumes" -}}
{{- $names := list }}
{{- range $i, $volume := . }}
{{- $key := printf "extraVolumes[%d]" $i }}
{{- $names = append $names $volume.name }}
{{- include "plumbline.checkFormat" (list "label" (printf "%s.name" $key) $volume.name) }}
{{- if has $volume.name (list "config" "credentials" "references" "replay" "store" "models" "tmp") }}
{{- fail (printf "%s is named %s, as a volume of the chart: use another name" $key $volume.name) }}
{{- end }}
{{- $sources := omit $volume "name" }}
{{- if ne (len $sources) 1 }}
{{- fail (printf "%s (%s) has %d sources: give exactly one, for instance configMap, secret, emptyDir or persistentVolumeClaim" $key $volume.name (len $sources)) }}
{{- end }}
{{- include "plumbline.checkFields" (list $key $sources) }}
{{- $paths := list }}
{{- range concat (list $sources) (default list (default dict $volume.projected).sources) }}
{{- range . }}
{{- range .items }}{{ $paths = append $paths .path }}{{ end }}
{{- with .path }}{{ $paths = append $paths . }}{{ end }}
{{- end }}
{{- end }}
{{- include "plumbline.checkUnique" (list (printf "the paths of %s" $key) $paths) }}
{{- range $j, $source := (default dict $volume.projected).sources }}
{{- if ne (len $source) 1 }}
{{- fail (printf "%s.projected.sources[%d] has %d sources: give exactly one" $key $j (len $source)) }}
{{- end }}
{{- end }}
{{- end }}
{{- include "plumbline.checkUnique" (list "extraVolumes" $names) }}
{{- end }}

{{- define "plumbline.checkMounts" -}}
{{- $volumes := list }}
{{- range .Values.extraVolumes }}{{ $volumes = append $volumes .name }}{{ end }}
{{- $paths := list }}
{{- range $i, $mount := .Values.extraVolumeMounts }}
{{- $key := printf "extraVolumeMounts[%d]" $i }}
{{- $path := $mount.mountPath }}
{{- $paths = append $paths $path }}
{{- if not (has $mount.name $volumes) }}
{{- fail (printf "%s mounts %q, which is not in extraVolumes: add the volume, or correct the name" $key $mount.name) }}
{{- end }}
{{- if or (ne $path (clean $path)) (not (hasPrefix "/" $path)) (contains ":" $path) }}
{{- fail (printf "%s.mountPath is %q: use an absolute path without colons, .. and a slash at its end" $key $path) }}
{{- end }}
{{- range $own := list "/etc/plumbline/plumbline.yaml" "/etc/plumbline/credentials" "/var/lib/plumbline/references" "/var/lib/plumbline/replay" "/var/lib/plumbline/store" "/var/lib/plumbline/models" "/opt/plumbline" "/tmp" }}
{{- if or (hasPrefix (printf "%s/" (trimSuffix "/" $path)) (printf "%s/" $own)) (and (ne $own "/tmp") (hasPrefix (printf "%s/" $own) $path)) }}
{{- fail (printf "%s.mountPath is %s, which would cover or change %s of the chart: mount it elsewhere" $key $path $own) }}
{{- end }}
{{- end }}
{{- with $mount.subPath }}
{{- include "plumbline.checkFormat" (list "path" (printf "%s.subPath" $key) .) }}
{{- end }}
{{- end }}
{{- include "plumbline.checkUnique" (list "the mountPath of extraVolumeMounts" $paths) }}
{{- end }}
