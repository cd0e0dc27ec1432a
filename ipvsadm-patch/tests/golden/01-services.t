# Declaring a service, and what is said about it
$ local 10.9.1.1 10.9.1.2
$ ipvsadm -A -t 10.9.0.1:80 --fullnat
Warning: -t 10.9.0.1:80 has no local address: its connections will be dropped until one is added, by `ipvsadm -P -t 10.9.0.1:80 -z ADDRESS'
$ ipvsadm -P -t 10.9.0.1:80 -z 10.9.1.1
# the same again is no error
$ ipvsadm -A -t 10.9.0.1:80 --fullnat
# with another scheduler it is, as ever
$ ipvsadm -A -t 10.9.0.1:80 -s rr --fullnat
Service already exists
[255]
$ ipvsadm -A -t 10.9.0.1:80
Service already exists
[255]
$ ipvsadm -Ln
IP Virtual Server version 1.2.1 (size=4096)
Prot LocalAddress:Port Scheduler Flags
  -> RemoteAddress:Port           Forward Weight ActiveConn InActConn
TCP  10.9.0.1:80 wlc
$ ipvsadm -Sn
-A -t 10.9.0.1:80 -s wlc --fullnat
-P -t 10.9.0.1:80 -z 10.9.1.1
# an edit that names only FULLNAT options leaves the rest alone
$ ipvsadm -E -t 10.9.0.1:80 -s rr -p 77
$ ipvsadm -E -t 10.9.0.1:80 --fullnat --toa 254 --timestamps strip
$ ipvsadm -Sn
-A -t 10.9.0.1:80 -s rr -p 77 --fullnat --toa 254 --timestamps strip
-P -t 10.9.0.1:80 -z 10.9.1.1
$ ipvsadm -E -t 10.9.0.1:80 --fullnat --toa off
$ ipvsadm -Sn
-A -t 10.9.0.1:80 -s rr -p 77 --fullnat --toa off --timestamps strip
-P -t 10.9.0.1:80 -z 10.9.1.1
$ ipvsadm -E -t 10.9.0.1:80 -s wlc --fullnat --toa 200 --timestamps rewrite
$ ipvsadm -Sn
-A -t 10.9.0.1:80 -s wlc --fullnat
-P -t 10.9.0.1:80 -z 10.9.1.1
# nothing stays half applied: options, and a declaration
$ ipvsadm -E -t 10.9.0.1:80 -s nosuch --fullnat --toa 254
Scheduler or persistence engine not found
[255]
$ ipvsadm -A -t 10.9.0.2:80 -s nosuch --fullnat
Scheduler or persistence engine not found
[255]
$ ipvsadm -E -t 10.9.0.2:80 -s rr --fullnat
No such service
[255]
$ ipvsadm -Sn
-A -t 10.9.0.1:80 -s wlc --fullnat
-P -t 10.9.0.1:80 -z 10.9.1.1
$ ipvsadm -G
VIP:VPORT            TOTAL    SNAT_IP              CONFLICTS  CONNS      PORTS       TAKEOVERS  EXHAUSTED  STATE
default              0        
10.9.0.1:80          1        
                              10.9.1.1             0          0          1025-65535  0          0          local
# a declaration without a service
$ ipvsadm -E -t 10.9.0.3:80 --fullnat
Note: IPVS does not have the service -t 10.9.0.3:80 now
Warning: -t 10.9.0.3:80 has no local address: its connections will be dropped until one is added, by `ipvsadm -P -t 10.9.0.3:80 -z ADDRESS'
$ ipvsadm -E -t 10.9.0.3:80 --fullnat --toa 254
Note: IPVS does not have the service -t 10.9.0.3:80 now
Warning: -t 10.9.0.3:80 has no local address: its connections will be dropped until one is added, by `ipvsadm -P -t 10.9.0.3:80 -z ADDRESS'
$ ipvsadm -P -t 10.9.0.3:80 -z 10.9.1.2
Note: IPVS does not have the service -t 10.9.0.3:80 now
$ ipvsadm -Sn
-A -t 10.9.0.1:80 -s wlc --fullnat
-P -t 10.9.0.1:80 -z 10.9.1.1
-E -t 10.9.0.3:80 --fullnat --toa 254
-P -t 10.9.0.3:80 -z 10.9.1.2
$ ipvsadm -D -t 10.9.0.3:80
$ ipvsadm -D -t 10.9.0.3:80
No such service
[255]
# the pool goes with the service
$ ipvsadm -D -t 10.9.0.1:80
$ ipvsadm -D -t 10.9.0.1:80
No such service
[255]
$ ipvsadm -G
VIP:VPORT            TOTAL    SNAT_IP              CONFLICTS  CONNS      PORTS       TAKEOVERS  EXHAUSTED  STATE
default              0        
$ ipvsadm -Sn
# all ports, and firewall marks
$ ipvsadm -A -t 10.9.0.4:0 -p 60 --fullnat
Warning: -t 10.9.0.4:0 has no local address: its connections will be dropped until one is added, by `ipvsadm -P -t 10.9.0.4:0 -z ADDRESS'
$ ipvsadm -E -t 10.9.0.4 --fullnat --toa 254
Warning: -t 10.9.0.4:0 has no local address: its connections will be dropped until one is added, by `ipvsadm -P -t 10.9.0.4:0 -z ADDRESS'
$ ipvsadm -A -f 5 --fullnat
Warning: -f 5 has no local address: its connections will be dropped until one is added, by `ipvsadm -P -f 5 -z ADDRESS'
$ ipvsadm -P -f 5 -z 10.9.1.1
$ ipvsadm -G
VIP:VPORT            TOTAL    SNAT_IP              CONFLICTS  CONNS      PORTS       TAKEOVERS  EXHAUSTED  STATE
default              0        
10.9.0.4:0           0        
FWM:5                1        
                              10.9.1.1             0          0          1025-65535  0          0          local
$ ipvsadm -Sn
-A -t 10.9.0.4:0 -s wlc -p 60 --fullnat --toa 254
-A -f 5 -s wlc --fullnat
-P -f 5 -z 10.9.1.1
# -C clears both
$ ipvsadm -P -z 10.9.1.2
$ ipvsadm -C
$ ipvsadm -Sn
# marks are not negative
$ ipvsadm -C
$ ipvsadm -A -f 4294967295 -s rr
$ ipvsadm -A -f 2147483648 -6 -s rr
$ ipvsadm -A -f 5 -s rr
$ ipvsadm -Sn
-A -f 5 -s rr
-A -f 2147483648 -6 -s rr
-A -f 4294967295 -s rr
$ ipvsadm -Ln
IP Virtual Server version 1.2.1 (size=4096)
Prot LocalAddress:Port Scheduler Flags
  -> RemoteAddress:Port           Forward Weight ActiveConn InActConn
FWM  5 rr
FWM  2147483648 IPv6 rr
FWM  4294967295 rr
$ ipvsadm -C
