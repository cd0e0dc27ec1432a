# fake: the module forwards IPv4 only yet
$ local 2001:db8:1::1 2001:db8:1::10
$ ipvsadm -A -t [2001:db8::1]:80 -s rr --fullnat
Warning: -t [2001:db8::1]:80 has no local address: its connections will be dropped until one is added, by `ipvsadm -P -t [2001:db8::1]:80 -z ADDRESS'
$ ipvsadm -P -t [2001:db8::1]:80 -z 2001:db8:1::1
$ ipvsadm -P -t [2001:db8::1]:80 -z [2001:db8:1::10/126]:2000-3000
Note: 3 of 4 local addresses are not addresses of this host now; they will be used when they are
$ ipvsadm -P -t [2001:db8::1]:80 -z [2001:db8:1::ffff-2001:db8:1::1:1]
Note: 3 of 3 local addresses are not addresses of this host now; they will be used when they are
$ ipvsadm -P -t [2001:db8::1]:80 -z 10.9.1.1
The local address is not of the service's family
[255]
$ ipvsadm -a -t [2001:db8::1]:80 -r [2001:db8:2::1]:80
$ ipvsadm -a -t [2001:db8::1]:80 -r 10.9.2.1:80
Different address family is allowed only for tunneling servers
[2]
$ ipvsadm -E -t [2001:db8::1]:80 --fullnat --toa 254
$ ipvsadm -G
VIP:VPORT            TOTAL    SNAT_IP              CONFLICTS  CONNS      PORTS       TAKEOVERS  EXHAUSTED  STATE
default              0        
[2001:db8::1]:80     8        
                              2001:db8:1::1        0          0          1025-65535  0          0          local
                              2001:db8:1::10       0          0          2000-3000   0          0          local
                              2001:db8:1::11       0          0          2000-3000   0          0          absent
                              2001:db8:1::12       0          0          2000-3000   0          0          absent
                              2001:db8:1::13       0          0          2000-3000   0          0          absent
                              2001:db8:1::ffff     0          0          1025-65535  0          0          absent
                              2001:db8:1::1:0      0          0          1025-65535  0          0          absent
                              2001:db8:1::1:1      0          0          1025-65535  0          0          absent
$ ipvsadm -Ln
IP Virtual Server version 1.2.1 (size=4096)
Prot LocalAddress:Port Scheduler Flags
  -> RemoteAddress:Port           Forward Weight ActiveConn InActConn
TCP  [2001:db8::1]:80 rr
  -> [2001:db8:2::1]:80           FullNat 1      0          0         
$ ipvsadm -Sn
-A -t [2001:db8::1]:80 -s rr --fullnat --toa 254
-P -t [2001:db8::1]:80 -z 2001:db8:1::1
-P -t [2001:db8::1]:80 -z [2001:db8:1::10-2001:db8:1::13]:2000-3000
-P -t [2001:db8::1]:80 -z 2001:db8:1::ffff-2001:db8:1::1:1
-a -t [2001:db8::1]:80 -r [2001:db8:2::1]:80 -b -w 1
$ ipvsadm -E -t [2001:db8::1]:80 --fullnat --toa 253
$ ipvsadm -A -f 5 -6 --fullnat --toa 254
Warning: -f 5 -6 has no local address: its connections will be dropped until one is added, by `ipvsadm -P -f 5 -6 -z ADDRESS'
$ ipvsadm -A -u 10.9.0.1:53 --fullnat
Warning: -u 10.9.0.1:53 has no local address: its connections will be dropped until one is added, by `ipvsadm -P -u 10.9.0.1:53 -z ADDRESS'
$ ipvsadm -P -u 10.9.0.1:53 -z 10.9.1.1
Note: the local address is not an address of this host now; it will be used when it is
$ ipvsadm -P -t 10.9.0.1:53 -z 10.9.1.1
Note: -t 10.9.0.1:53 is now declared FULLNAT
Note: IPVS does not have the service -t 10.9.0.1:53 now
Note: the local address is not an address of this host now; it will be used when it is
$ ipvsadm -G
VIP:VPORT            TOTAL    SNAT_IP              CONFLICTS  CONNS      PORTS       TAKEOVERS  EXHAUSTED  STATE
default              0        
10.9.0.1:53          1        
                              10.9.1.1             0          0          1025-65535  0          0          absent
10.9.0.1:53          1        UDP
                              10.9.1.1             0          0          1025-65535  0          0          absent
[2001:db8::1]:80     8        
                              2001:db8:1::1        0          0          1025-65535  0          0          local
                              2001:db8:1::10       0          0          2000-3000   0          0          local
                              2001:db8:1::11       0          0          2000-3000   0          0          absent
                              2001:db8:1::12       0          0          2000-3000   0          0          absent
                              2001:db8:1::13       0          0          2000-3000   0          0          absent
                              2001:db8:1::ffff     0          0          1025-65535  0          0          absent
                              2001:db8:1::1:0      0          0          1025-65535  0          0          absent
                              2001:db8:1::1:1      0          0          1025-65535  0          0          absent
FWM:5:IPv6           0        
$ ipvsadm -Sn
-A -u 10.9.0.1:53 -s wlc --fullnat
-P -u 10.9.0.1:53 -z 10.9.1.1
-A -t [2001:db8::1]:80 -s rr --fullnat
-P -t [2001:db8::1]:80 -z 2001:db8:1::1
-P -t [2001:db8::1]:80 -z [2001:db8:1::10-2001:db8:1::13]:2000-3000
-P -t [2001:db8::1]:80 -z 2001:db8:1::ffff-2001:db8:1::1:1
-a -t [2001:db8::1]:80 -r [2001:db8:2::1]:80 -b -w 1
-A -f 5 -6 -s wlc --fullnat --toa 254
-E -t 10.9.0.1:53 --fullnat
-P -t 10.9.0.1:53 -z 10.9.1.1
$ ipvsadm -A --sctp-service 10.9.0.1:53 --fullnat
FULLNAT does not forward SCTP
[255]
# but it is no business of a service that cannot be declared
$ ipvsadm -A --sctp-service 10.9.0.1:53
$ ipvsadm -D --sctp-service 10.9.0.1:53
$ ipvsadm -D --sctp-service 10.9.0.1:53
No such service
[255]
$ ipvsadm -Sn
-A -u 10.9.0.1:53 -s wlc --fullnat
-P -u 10.9.0.1:53 -z 10.9.1.1
-A -t [2001:db8::1]:80 -s rr --fullnat
-P -t [2001:db8::1]:80 -z 2001:db8:1::1
-P -t [2001:db8::1]:80 -z [2001:db8:1::10-2001:db8:1::13]:2000-3000
-P -t [2001:db8::1]:80 -z 2001:db8:1::ffff-2001:db8:1::1:1
-a -t [2001:db8::1]:80 -r [2001:db8:2::1]:80 -b -w 1
-A -f 5 -6 -s wlc --fullnat --toa 254
-E -t 10.9.0.1:53 --fullnat
-P -t 10.9.0.1:53 -z 10.9.1.1
