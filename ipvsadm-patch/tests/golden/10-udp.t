# UDP services; one-packet scheduling; SCTP
$ local 10.9.1.1 10.9.1.2
$ ipvsadm -P -z 10.9.1.1
$ ipvsadm -A -u 10.9.0.1:53 -s rr --fullnat
$ ipvsadm -P -u 10.9.0.1:53 -z 10.9.1.2
# TCP of the same address and port is another service
$ ipvsadm -A -t 10.9.0.1:53 -s rr --fullnat
$ ipvsadm -a -u 10.9.0.1:53 -r 10.9.2.1:5353
$ ipvsadm -a -u 10.9.0.1:53 -r 10.9.2.2:53 -m
$ ipvsadm -a -u 10.9.0.1:53 -r 10.9.2.3:53 -b -w 3
$ ipvsadm -Ln
IP Virtual Server version 1.2.1 (size=4096)
Prot LocalAddress:Port Scheduler Flags
  -> RemoteAddress:Port           Forward Weight ActiveConn InActConn
TCP  10.9.0.1:53 rr
UDP  10.9.0.1:53 rr
  -> 10.9.2.1:5353                FullNat 1      0          0         
  -> 10.9.2.2:53                  FullNat 1      0          0         
  -> 10.9.2.3:53                  FullNat 3      0          0         
$ ipvsadm -G
VIP:VPORT            TOTAL    SNAT_IP              CONFLICTS  CONNS      PORTS       TAKEOVERS  EXHAUSTED  STATE
default              1        
                              10.9.1.1             0          0          1025-65535  0          0          local
10.9.0.1:53          0        
10.9.0.1:53          1        UDP
                              10.9.1.2             0          0          1025-65535  0          0          local
# what is of TCP only
$ ipvsadm -E -u 10.9.0.1:53 --fullnat --toa 200
TOA and timestamps are options of TCP, not of UDP
[255]
$ ipvsadm -E -u 10.9.0.1:53 --fullnat --toa off
TOA and timestamps are options of TCP, not of UDP
[255]
$ ipvsadm -E -u 10.9.0.1:53 --fullnat --timestamps strip
TOA and timestamps are options of TCP, not of UDP
[255]
$ ipvsadm -A -u 10.9.0.2:53 --fullnat --toa 254
TOA and timestamps are options of TCP, not of UDP
[255]
$ ipvsadm -Sn
-P -z 10.9.1.1
-A -t 10.9.0.1:53 -s rr --fullnat
-A -u 10.9.0.1:53 -s rr --fullnat
-P -u 10.9.0.1:53 -z 10.9.1.2
-a -u 10.9.0.1:53 -r 10.9.2.1:5353 -b -w 1
-a -u 10.9.0.1:53 -r 10.9.2.2:53 -m -w 1
-a -u 10.9.0.1:53 -r 10.9.2.3:53 -b -w 3
# -o, in every order, and whichever comes first
$ ipvsadm -A -u 10.9.0.3:53 -o --fullnat
One-Packet Scheduling is not possible for FULLNAT virtual services
[2]
$ ipvsadm -A -u 10.9.0.3:53 --fullnat -o
One-Packet Scheduling is not possible for FULLNAT virtual services
[2]
$ ipvsadm -A --fullnat --ops -u 10.9.0.3:53
One-Packet Scheduling is not possible for FULLNAT virtual services
[2]
$ ipvsadm -A -f 7 --ops --fullnat
One-Packet Scheduling is not possible for FULLNAT virtual services
[2]
$ ipvsadm -E -u 10.9.0.1:53 --ops --fullnat
One-Packet Scheduling is not possible for FULLNAT virtual services
[2]
$ ipvsadm -E -u 10.9.0.1:53 -o
One-Packet Scheduling is not possible for FULLNAT virtual services
[2]
$ ipvsadm -A -u 10.9.0.3:53 -s rr -o
$ ipvsadm -E -u 10.9.0.3:53 --fullnat
FULLNAT is not possible in a service with one-packet scheduling
[255]
$ ipvsadm -A -u 10.9.0.3:53 -s rr --fullnat
Service already exists
[255]
$ ipvsadm -P -u 10.9.0.3:53 -z 10.9.1.2
FULLNAT is not possible in a service with one-packet scheduling
[255]
$ ipvsadm -a -u 10.9.0.3:53 -r 10.9.2.1:53 -b
FULLNAT is not possible in a service with one-packet scheduling
[255]
$ ipvsadm -a -u 10.9.0.3:53 -r 10.9.2.1:53 -m
$ ipvsadm -e -u 10.9.0.3:53 -r 10.9.2.1:53 -b
FULLNAT is not possible in a service with one-packet scheduling
[255]
$ ipvsadm -Sn
-P -z 10.9.1.1
-A -t 10.9.0.1:53 -s rr --fullnat
-A -u 10.9.0.1:53 -s rr --fullnat
-P -u 10.9.0.1:53 -z 10.9.1.2
-a -u 10.9.0.1:53 -r 10.9.2.1:5353 -b -w 1
-a -u 10.9.0.1:53 -r 10.9.2.2:53 -m -w 1
-a -u 10.9.0.1:53 -r 10.9.2.3:53 -b -w 3
-A -u 10.9.0.3:53 -s rr -o
-a -u 10.9.0.3:53 -r 10.9.2.1:53 -m -w 1
# an edit that takes it away
$ ipvsadm -d -u 10.9.0.3:53 -r 10.9.2.1:53
$ ipvsadm -E -u 10.9.0.3:53 -s rr --fullnat
$ ipvsadm -a -u 10.9.0.3:53 -r 10.9.2.1:53
$ ipvsadm -D -u 10.9.0.1:53
$ ipvsadm -Sn
-P -z 10.9.1.1
-A -t 10.9.0.1:53 -s rr --fullnat
-A -u 10.9.0.3:53 -s rr --fullnat
-a -u 10.9.0.3:53 -r 10.9.2.1:53 -b -w 1
# SCTP: told the way out
$ ipvsadm -A --sctp-service 10.9.0.1:53 --fullnat
FULLNAT is for TCP and UDP only: use masquerading (ipvsadm -a ... -m)
[255]
$ ipvsadm -E --sctp-service 10.9.0.1:53 --fullnat
FULLNAT is for TCP and UDP only: use masquerading (ipvsadm -a ... -m)
[255]
$ ipvsadm -P --sctp-service 10.9.0.1:53 -z 10.9.1.1
FULLNAT is for TCP and UDP only: use masquerading (ipvsadm -a ... -m)
[255]
$ ipvsadm -A --sctp-service 10.9.0.1:53 -s rr
$ ipvsadm -a --sctp-service 10.9.0.1:53 -r 10.9.2.1:53 -b
FULLNAT is for TCP and UDP only: use masquerading (ipvsadm -a ... -m)
[2]
$ ipvsadm -a --sctp-service 10.9.0.1:53 -r 10.9.2.1:53 -m
$ ipvsadm -e --sctp-service 10.9.0.1:53 -r 10.9.2.1:53 -b
FULLNAT is for TCP and UDP only: use masquerading (ipvsadm -a ... -m)
[2]
$ ipvsadm -Ln --sctp-service 10.9.0.1:53
Prot LocalAddress:Port Scheduler Flags
  -> RemoteAddress:Port           Forward Weight ActiveConn InActConn
SCTP 10.9.0.1:53 rr
  -> 10.9.2.1:53                  Masq    1      0          0         
$ ipvsadm -D --sctp-service 10.9.0.1:53
$ ipvsadm -D --sctp-service 10.9.0.1:53
No such service
[255]
$ ipvsadm -Sn
-P -z 10.9.1.1
-A -t 10.9.0.1:53 -s rr --fullnat
-A -u 10.9.0.3:53 -s rr --fullnat
-a -u 10.9.0.3:53 -r 10.9.2.1:53 -b -w 1
