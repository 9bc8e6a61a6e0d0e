#!/bin/sh
# Makes the certificates of the tests anew: for a century, and for nothing but tests.
set -e
cd "$(dirname "$0")"
days="-days 36500"
key() { openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out "$1.key" 2>/dev/null; }
ca() { # NAME: an authority.
  key "$1"
  openssl req -x509 -new -key "$1.key" $days -subj "/CN=$1" -out "$1.crt" \
    -addext basicConstraints=critical,CA:TRUE -addext keyUsage=keyCertSign
}
ca ca
ca other
# A server's, signed by the authority.
key server
openssl req -new -key server.key -subj /CN=db.test -out server.csr
printf 'subjectAltName=DNS:db.test\nbasicConstraints=CA:FALSE\n' > server.ext
openssl x509 -req -in server.csr -CA ca.crt -CAkey ca.key -CAcreateserial $days -extfile server.ext -out server.crt
# A server's that signed itself, as PostgreSQL's manual makes one: OpenSSL calls it an authority as well.
key self
openssl req -x509 -new -key self.key $days -subj /CN=db.test -addext subjectAltName=DNS:db.test -out self.crt
# Of X.509 version 1.
key old
openssl req -new -key old.key -subj /CN=db.test -out old.csr
openssl x509 -req -in old.csr -signkey old.key $days -out old.crt
# Two that signed themselves, for another time than ours.
dated() { # NAME FROM TO
  key "$1"
  openssl req -new -key "$1.key" -subj /CN=db.test -out "$1.csr"
  printf 'subjectAltName=DNS:db.test\nbasicConstraints=CA:FALSE\n' > "$1.ext"
  printf '%s\n' '[ca]' default_ca=it '[it]' database=dated.db new_certs_dir=. rand_serial=yes \
    default_md=sha256 policy=any '[any]' commonName=supplied > dated.cnf
  : > dated.db
  openssl ca -batch -selfsign -notext -config dated.cnf -keyfile "$1.key" -in "$1.csr" -extfile "$1.ext" \
    -startdate "$2" -enddate "$3" -out "$1.crt"
}
dated expired 20000101000000Z 20010101000000Z
dated future 21000101000000Z 22000101000000Z
rm -f ./*.csr ./*.ext ./*.srl ./*.pem ./dated.* ca.key other.key
