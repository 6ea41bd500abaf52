{{/* Checks of networkPolicy: addresses, peers and ports. */}}

{{- define "plumbline.checkNetwork" -}}
{{- with .Values.networkPolicy }}
{{- include "plumbline.checkPeers" (list "networkPolicy.metricsFrom" .metricsFrom) }}
{{- include "plumbline.checkPeers" (list "networkPolicy.kafkaTo" .kafkaTo) }}
{{- include "plumbline.checkPeers" (list "networkPolicy.judgeTo" .judgeTo) }}
{{- include "plumbline.checkPeers" (list "networkPolicy.storeTo" .storeTo) }}
{{- include "plumbline.checkPeers" (list "networkPolicy.replayTo" .replayTo) }}
{{- range $i, $rule := .extraEgress }}
{{- $key := printf "networkPolicy.extraEgress[%d]" $i }}
{{- if not (or $rule.to $rule.ports (hasKey $rule "to") (hasKey $rule "ports")) }}
{{- fail (printf "%s is empty and would allow every connection: give it to or ports, or remove it" $key) }}
{{- end }}
{{- range $name := list "to" "ports" }}
{{- if and (hasKey $rule $name) (not (get $rule $name)) }}
{{- fail (printf "%s.%s is empty, which means all of them: remove the key, or give at least one" $key $name) }}
{{- end }}
{{- end }}
{{- include "plumbline.checkPeers" (list (printf "%s.to" $key) (default list $rule.to)) }}
{{- range $j, $port := default list $rule.ports }}
{{- include "plumbline.checkPort" (list (printf "%s.ports[%d]" $key $j) $port) }}
{{- end }}
{{- end }}
{{- end }}
{{- end }}

{{/* Takes [key, peers]. */}}
{{- define "plumbline.checkPeers" -}}
{{- $key := index . 0 }}
{{- range $i, $peer := index . 1 }}
{{- $inner := printf "%s[%d]" $key $i }}
{{- if not $peer }}
{{- fail (printf "%s is empty: give it a namespaceSelector, a podSelector or an ipBlock" $inner) }}
{{- end }}
{{- if and (hasKey $peer "ipBlock") (gt (len $peer) 1) }}
{{- fail (printf "%s has an ipBlock and a selector: make them two peers" $inner) }}
{{- end }}
{{- include "plumbline.checkFields" (list $inner $peer) }}
{{- end }}
{{- end }}

{{/* Takes [key, port]. */}}
{{- define "plumbline.checkPort" -}}
{{- $key := index . 0 }}
{{- with index . 1 }}
{{- if kindIs "string" .port }}
{{- include "plumbline.checkFormat" (list "portName" (printf "%s.port" $key) .port) }}
{{- if not (regexMatch "[a-z]" .port) }}
{{- fail (printf "%s.port is %q, a number in quotes: remove the quotes" $key .port) }}
{{- end }}
{{- end }}
{{- if and .endPort (or (kindIs "string" .port) (lt (int .endPort) (int .port)) (not .port)) }}
{{- fail (printf "%s.endPort is %d, which requires a port with a number that is not greater: correct port or remove endPort" $key (int .endPort)) }}
{{- end }}
{{- end }}
{{- end }}

{{/* Takes [key, ipBlock]. */}}
{{- define "plumbline.checkBlock" -}}
{{- $key := index . 0 }}
{{- $block := index . 1 }}
{{- $network := include "plumbline.network" (list (printf "%s.cidr" $key) $block.cidr) }}
{{- range $i, $part := default list $block.except }}
{{- $inner := include "plumbline.network" (list (printf "%s.except[%d]" $key $i) $part) }}
{{- if or (eq $inner $network) (not (hasPrefix $network $inner)) }}
{{- fail (printf "%s.except[%d] is %s, which is not a smaller block within cidr (%s): correct or remove it" $key $i $part $block.cidr) }}
{{- end }}
{{- end }}
{{- end }}

{{/* The family and the network bits of an address block, such as 4:00001010 for 10.0.0.0/8. A block is
     within another if this text begins with that of the other. Takes [key, block]. */}}
{{- define "plumbline.network" -}}
{{- $parts := splitList "/" (index . 1) }}
{{- $bits := include "plumbline.bits" (first $parts) }}
{{- $size := last $parts }}
{{- if not (and (eq (len $parts) 2) $bits (regexMatch "^(0|[1-9][0-9]{0,2})$" $size) (le (int $size) (len $bits))) }}
{{- fail (printf "%s is %q: use an address block such as 10.20.0.0/16 or 2001:db8::/32" (index . 0) (index . 1)) }}
{{- end }}
{{- if contains "1" (substr (int $size) (len $bits) $bits) }}
{{- fail (printf "%s is %s, but the part of the address behind its first %s bits is not zero: write the first address of the block" (index . 0) (index . 1) $size) }}
{{- end }}
{{- ternary "4" "6" (eq (len $bits) 32) }}:{{ substr 0 (int $size) $bits }}
{{- end }}

{{/* The 32 or 128 bits of an address, empty if it is malformed or an IPv4 address written as IPv6. */}}
{{- define "plumbline.bits" -}}
{{- if regexMatch "^(25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])(\\.(25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])){3}$" . }}
{{- range splitList "." . }}{{ printf "%08b" (int .) }}{{ end }}
{{- else if and (regexMatch "^[0-9a-fA-F]*:[0-9a-fA-F:]*$" .) (not (regexMatch "[^:]{5}|:::|::.*::|^:[^:]|[^:]:$" .)) }}
{{- $halves := splitList "::" . }}
{{- $left := splitList ":" (first $halves) | compact }}
{{- $right := list }}
{{- if eq (len $halves) 2 }}
{{- $right = splitList ":" (last $halves) | compact }}
{{- end }}
{{- $zeros := sub 8 (add (len $left) (len $right)) | int }}
{{- if and (ternary (ge $zeros 1) (eq $zeros 0) (eq (len $halves) 2)) (not (regexMatch "^[0:]*:ffff:[^:]*:[^:]*$" (lower .))) }}
{{- range $left }}{{ printf "%016b" (printf "0x%s" . | int64) }}{{ end }}
{{- range until $zeros }}{{ printf "%016b" 0 }}{{ end }}
{{- range $right }}{{ printf "%016b" (printf "0x%s" . | int64) }}{{ end }}
{{- end }}
{{- end }}
{{- end }}
