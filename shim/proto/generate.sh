#!/bin/sh
# Makes generated/ anew, of the tests' CRI client too; needs protoc (Debian: protobuf-compiler). Type definitions and JavaScript, since generated TypeScript has enums that Node cannot strip.
set -e
cd "$(dirname "$0")"
plugin=${PROTOC_GEN_ES:-$(npm exec --yes --package=@bufbuild/protoc-gen-es@2.17.0 -- which protoc-gen-es)}
for folder in . ../../test/engines/cri; do
  (
    cd "$folder"
    rm -rf generated && mkdir generated
    protoc --plugin=protoc-gen-es="$plugin" --es_out=generated --es_opt=target=js+dts,import_extension=js -I . *.proto
  )
done
