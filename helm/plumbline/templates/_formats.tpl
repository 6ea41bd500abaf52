{{/* Formats that the API server requires. The schema checks structure and types; these checks report
     a sentence instead of a regular expression. */}}

{{/* Kind of format: pattern, maximum length, and the rule that the error states. */}}
{{- define "plumbline.formats" -}}
serviceName:  # RFC 1035; 40 characters leave room for suffixes such as -ingest
  pattern: '^[a-z]([-a-z0-9]*[a-z0-9])?$'
  most: 40
  rule: use at most 40 lower-case letters, digits and hyphens, with a letter first and no hyphen last
label:  # RFC 1123
  pattern: '^[a-z0-9]([-a-z0-9]*[a-z0-9])?$'
  most: 63
  rule: use at most 63 lower-case letters, digits and hyphens, with no hyphen first or last
object:
  pattern: '^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$'
  most: 253
  rule: use the name of an object, of lower-case letters, digits, hyphens and dots, with a letter or digit first and last and beside every dot
labelKey:
  pattern: '^([a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*/)?[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$'
  most: 317
  rule: use at most 63 letters, digits, hyphens, underscores and dots, with a letter or digit first and last, after a domain and a slash if it has one
labelValue:
  pattern: '^([A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?)?$'
  most: 63
  rule: use at most 63 letters, digits, hyphens, underscores and dots, with a letter or digit first and last
dataKey:
  pattern: '^([-_a-zA-Z0-9]|\.[-_a-zA-Z0-9])[-._a-zA-Z0-9]*$'
  most: 253
  rule: use a key of a Secret or ConfigMap, of letters, digits, hyphens, underscores and dots
variable:
  pattern: '^[-_a-zA-Z][-._a-zA-Z0-9]*$'
  most: 253
  rule: use letters, digits and underscores, with no digit first
driver:
  pattern: '^[a-zA-Z0-9]([-a-zA-Z0-9.]*[a-zA-Z0-9])?$'
  most: 63
  rule: use at most 63 letters, digits, hyphens and dots, with a letter or digit first and last
path:
  pattern: '^([^/.]|\.([^.]|$))'
  most: 4096
  rule: use a relative path without ..
portName:
  pattern: '^[a-z0-9]([a-z0-9]|-[a-z0-9])*$'
  most: 15
  rule: use a number from 1 to 65535, or the name of a port, of at most 15 lower-case letters, digits and single hyphens
quantity:
  pattern: '^\+?([0-9]+\.?[0-9]*|\.[0-9]+)([numkMGTPE]|[KMGTPE]i|[eE][-+]?[0-9]+)?$'
  most: 63
  rule: use a quantity that is not negative, such as 250m, 2, 512Mi or 2Gi
percentage:
  pattern: '^(100|[1-9][0-9]?)%$'
  most: 4
  rule: use a number of pods, or a percentage from 1% to 100%; with 0 no node can be drained
duration:
  pattern: '^[1-9][0-9]*(ms|s|m|h)$'
  most: 20
  rule: use a duration such as 15s or 1m
image:
  pattern: '^([a-zA-Z0-9]([-a-zA-Z0-9.]*[a-zA-Z0-9])?(:[0-9]+)?/)?[a-z0-9]+(([._]|__|-+)[a-z0-9]+)*(/[a-z0-9]+(([._]|__|-+)[a-z0-9]+)*)*$'
  most: 255
  rule: use the name of an image without https:// and without a tag or digest, which belong into image.tag and image.digest
tag:
  pattern: '^[A-Za-z0-9_][A-Za-z0-9_.-]*$'
  most: 128
  rule: use at most 128 letters, digits, underscores, dots and hyphens, with a letter, digit or underscore first
digest:
  pattern: '^sha256:[0-9a-f]{64}$'
  most: 71
  rule: use sha256 and a colon, followed by 64 hexadecimal digits
broker:
  pattern: '^([A-Za-z_]+://)?([^]\[:/\s]+|\[[0-9a-fA-F:.]+\])(:([1-9][0-9]{0,3}|[1-5][0-9]{4}|6[0-4][0-9]{3}|65[0-4][0-9]{2}|655[0-2][0-9]|6553[0-5]))?$'
  most: 300
  rule: use HOST:PORT with a port from 1 to 65535, and brackets around an IPv6 address
fieldPath:
  pattern: '^(metadata\.(name|namespace|uid|(labels|annotations)\[''[A-Za-z0-9]([-A-Za-z0-9_./]*[A-Za-z0-9])?''\])|spec\.(nodeName|serviceAccountName)|status\.(hostIPs?|podIPs?))$'
  most: 400
  rule: use a field such as metadata.name, metadata.namespace, spec.nodeName or status.podIP
volumeField:
  pattern: '^metadata\.(name|namespace|uid|labels|annotations|(labels|annotations)\[''[A-Za-z0-9]([-A-Za-z0-9_./]*[A-Za-z0-9])?''\])$'
  most: 400
  rule: use a field such as metadata.name, metadata.labels or metadata.annotations
{{- end }}

{{/* Fails unless a text has a format; takes [kind, key, text]. The key says where the text is. */}}
{{- define "plumbline.checkFormat" -}}
{{- $format := get (include "plumbline.formats" . | fromYaml) (index . 0) }}
{{- $text := index . 2 }}
{{- $parts := splitList "/" $text }}
{{- $long := or (gt (len $text) (int $format.most)) (and (eq (index . 0) "labelKey") (gt (len (first $parts)) 253)) }}
{{- if or $long (and (eq (index . 0) "path") (has ".." $parts)) (not (regexMatch $format.pattern $text)) }}
{{- fail (printf "%s is %q: %s" (index . 1) $text $format.rule) }}
{{- end }}
{{- end }}

{{/* Fails if a list contains a text twice; takes [key, list]. */}}
{{- define "plumbline.checkUnique" -}}
{{- $seen := list }}
{{- $key := index . 0 }}
{{- range index . 1 }}
{{- if has . $seen }}
{{- fail (printf "%s contains %q twice: remove one of them" $key .) }}
{{- end }}
{{- $seen = append $seen . }}
{{- end }}
{{- end }}

{{/* Fails unless labels are valid and none is set by the chart; takes [key, labels, labels of the chart]. */}}
{{- define "plumbline.checkLabels" -}}
{{- $key := index . 0 }}
{{- $own := index . 2 }}
{{- range $name, $value := index . 1 }}
{{- if has $name $own }}
{{- fail (printf "%s contains %s, which the chart sets itself: remove it or use another name" $key $name) }}
{{- end }}
{{- include "plumbline.checkFormat" (list "labelKey" (printf "a key of %s" $key) $name) }}
{{- include "plumbline.checkFormat" (list "labelValue" (printf "%s, key %s," $key $name) $value) }}
{{- end }}
{{- end }}

{{/* As checkLabels; values of annotations are free, and prefixes of their keys may have capitals. */}}
{{- define "plumbline.checkAnnotations" -}}
{{- $key := index . 0 }}
{{- $own := index . 2 }}
{{- range $name, $_ := index . 1 }}
{{- if has $name $own }}
{{- fail (printf "%s contains %s, which the chart sets itself: remove it or use another name" $key $name) }}
{{- end }}
{{- include "plumbline.checkFormat" (list "labelKey" (printf "a key of %s" $key) (lower $name)) }}
{{- end }}
{{- if gt (len (toJson (index . 1))) 262144 }}
{{- fail (printf "%s is larger than 262144 bytes, the limit of Kubernetes: shorten the annotations" $key) }}
{{- end }}
{{- end }}

{{/* Fields of Kubernetes whose values have a format, at any depth of a value that is copied as it is. */}}
{{- define "plumbline.fields" -}}
topologyKey: labelKey
matchLabelKeys: labelKey
mismatchLabelKeys: labelKey
namespaces: label
name: object
secretName: object
claimName: object
driver: driver
key: dataKey
path: path
sizeLimit: quantity
fieldPath: fieldPath
{{- end }}

{{/* Checks the fields above, label selectors and address blocks in a value; takes [key, value]. */}}
{{- define "plumbline.checkFields" -}}
{{- $key := index . 0 }}
{{- $value := index . 1 }}
{{- $formats := include "plumbline.fields" . | fromYaml }}
{{- if kindIs "slice" $value }}
{{- range $i, $each := $value }}
{{- include "plumbline.checkFields" (list (printf "%s[%d]" $key $i) $each) }}
{{- end }}
{{- else if kindIs "map" $value }}
{{- range $value.matchLabelKeys }}
{{- if has . (default list $value.mismatchLabelKeys) }}
{{- fail (printf "%s has %s in matchLabelKeys and in mismatchLabelKeys: remove one of them" $key .) }}
{{- end }}
{{- end }}
{{- range $name, $each := $value }}
{{- $inner := printf "%s.%s" $key $name }}
{{- if eq $name "matchLabels" }}
{{- include "plumbline.checkLabels" (list $inner $each list) }}
{{- else if has $name (list "matchExpressions" "matchFields") }}
{{- include "plumbline.checkExpressions" (list $inner $each) }}
{{- else if eq $name "ipBlock" }}
{{- include "plumbline.checkBlock" (list $inner $each) }}
{{- else if and (hasKey $formats $name) (kindIs "slice" $each) }}
{{- range $i, $text := $each }}
{{- include "plumbline.checkFormat" (list (get $formats $name) (printf "%s[%d]" $inner $i) $text) }}
{{- end }}
{{- else if and (hasKey $formats $name) (kindIs "string" $each) }}
{{- $format := ternary "volumeField" (get $formats $name) (hasSuffix "].fieldRef.fieldPath" $inner) }}
{{- include "plumbline.checkFormat" (list $format $inner $each) }}
{{- else if ne $name "volumeAttributes" }}
{{- include "plumbline.checkFields" (list $inner $each) }}
{{- end }}
{{- end }}
{{- end }}
{{- end }}

{{/* Fails unless the expressions of a selector are valid; takes [key, expressions]. */}}
{{- define "plumbline.checkExpressions" -}}
{{- $key := index . 0 }}
{{- range $i, $each := index . 1 }}
{{- $inner := printf "%s[%d]" $key $i }}
{{- $values := default list $each.values }}
{{- include "plumbline.checkFormat" (list "labelKey" (printf "%s.key" $inner) $each.key) }}
{{- if and (hasSuffix ".matchFields" $key) (or (ne $each.key "metadata.name") (ne (len $values) 1) (not (has $each.operator (list "In" "NotIn")))) }}
{{- fail (printf "%s: use the key metadata.name, the operator In or NotIn, and one value" $inner) }}
{{- end }}
{{- if and (has $each.operator (list "Exists" "DoesNotExist")) $values }}
{{- fail (printf "%s has values, but the operator %s takes none: remove values" $inner $each.operator) }}
{{- else if and (has $each.operator (list "In" "NotIn")) (not $values) }}
{{- fail (printf "%s has no values, but the operator %s requires some: add values" $inner $each.operator) }}
{{- else if and (has $each.operator (list "Gt" "Lt")) (or (ne (len $values) 1) (not (regexMatch "^-?[0-9]+$" (first $values | default "")))) }}
{{- fail (printf "%s has the operator %s, which requires one integer: write values: [\"NUMBER\"]" $inner $each.operator) }}
{{- end }}
{{- range $values }}
{{- if not (has $each.operator (list "Gt" "Lt")) }}
{{- include "plumbline.checkFormat" (list "labelValue" (printf "a value of %s" $inner) .) }}
{{- end }}
{{- end }}
{{- end }}
{{- end }}
