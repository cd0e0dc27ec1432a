# Which IPv6 addresses are of this host
$ local 2001:db8:1::1 2001:db8:1::10
$ ipvsadm -P -z 2001:db8:1::1
$ ipvsadm -A -t [2001:db8::1]:80 -s rr --fullnat
$ ipvsadm -P -t [2001:db8::1]:80 -z 2001:db8:1::1
$ ipvsadm -P -t [2001:db8::1]:80 -z [2001:db8:1::10/126]:2000-3000
Note: 3 of 4 local addresses are not addresses of this host now; they will be used when they are
$ ipvsadm -G
VIP:VPORT            TOTAL    SNAT_IP              CONFLICTS  CONNS      PORTS       TAKEOVERS  EXHAUSTED  STATE
default              1        
                              2001:db8:1::1        0          0          1025-65535  0          0          local
[2001:db8::1]:80     5        
                              2001:db8:1::1        0          0          1025-65535  0          0          local
                              2001:db8:1::10       0          0          2000-3000   0          0          local
                              2001:db8:1::11       0          0          2000-3000   0          0          absent
                              2001:db8:1::12       0          0          2000-3000   0          0          absent
                              2001:db8:1::13       0          0          2000-3000   0          0          absent
